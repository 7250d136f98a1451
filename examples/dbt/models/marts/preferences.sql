with labels as (select * from {{ ref('labels') }})

select * from to_dpo(labels, instruction, response, verdict.score)
