select id, trim(instruction) as instruction
from {{ ref('instructions') }}
where text_problem(instruction, min_chars := 3) is null
