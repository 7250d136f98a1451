with labels as (select * from {{ ref('labels') }})

select * from to_sft(labels, instruction, response, score := verdict.score, min_score := 4)
