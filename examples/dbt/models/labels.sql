-- Asks only for rows that are new or whose label failed.
{{ config(materialized='incremental', unique_key=['id', 'response'], pre_hook="{{ distil_sql.ask() }}") }}

select distinct
    id,
    instruction,
    response,
    judge(instruction, response) as verdict,
    judge(instruction, response, model := 'second_labeller') as second_verdict
from {{ ref('generations') }}
where response is not null
{% if is_incremental() %}
    and (id, response) not in (select (id, response) from {{ this }} where verdict is not null)
{% endif %}
