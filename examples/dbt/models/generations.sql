{{ config(materialized='distil') }}

select id, instruction, unnest(text_generation_n(instruction, n := 2)) as response
from {{ ref('stg_instructions') }}
