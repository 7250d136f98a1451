{# Tests of labels. `field` reaches into a STRUCT: column `verdict`, field `score`. #}

{# Every label there is lies between the two bounds, which are allowed; NULL is for `null_rate` to judge. #}
{% test accepted_range(model, column_name, min_value=none, max_value=none, field=none) %}
  {%- set label = distil_sql.label_of(column_name, field) -%}
  {%- if min_value is none and max_value is none -%}
    {% do exceptions.raise_compiler_error("distil_sql.accepted_range needs min_value, max_value or both") %}
  {%- endif -%}
  select * from {{ model }}
  where {% if min_value is not none %}{{ label }} < {{ min_value }}{% endif %}
    {%- if min_value is not none and max_value is not none %} or {% endif %}
    {%- if max_value is not none %}{{ label }} > {{ max_value }}{% endif %}
{% endtest %}

{# At most this share of the rows has no label. #}
{% test null_rate(model, column_name, at_most, field=none) %}
  {%- set label = distil_sql.label_of(column_name, field) -%}
  select count(*) as rows_in_all, count(*) - count({{ label }}) as rows_without
  from {{ model }}
  having count(*) - count({{ label }}) > {{ at_most }} * count(*)
{% endtest %}

{# Two labellers agree beyond chance at least this far. In two columns: `with` names the other one. In rows, one a label:
   `item` says what was labelled. measure: cohen_kappa, with weights 'none', 'linear' or 'quadratic' (two columns);
   fleiss_kappa; krippendorff_alpha, with level 'nominal', 'ordinal', 'interval' or 'ratio' (rows). Nothing that both
   have labelled is no agreement. #}
{% test agreement(model, column_name, at_least, with=none, item=none, field=none, measure=none, weights='none', level='nominal') %}
  {%- set measure = measure or ('cohen_kappa' if with is not none else 'krippendorff_alpha') -%}
  {%- set label = distil_sql.label_of(column_name, field) -%}
  {%- if measure == 'cohen_kappa' and with is not none -%}
    {%- set found = "cohen_kappa(distil_labels, " ~ label ~ ", " ~ distil_sql.label_of(with, field) ~ ", weights := '" ~ weights ~ "')" -%}
    {%- set beyond, items = 'kappa', 'items' -%}
    {%- set alike = 'agreement = 1' -%}
  {%- elif measure == 'fleiss_kappa' and item is not none -%}
    {%- set found = "fleiss_kappa(distil_labels, " ~ item ~ ", " ~ label ~ ")" -%}
    {%- set beyond, items = 'kappa', 'items' -%}
    {%- set alike = 'agreement = 1' -%}
  {%- elif measure == 'krippendorff_alpha' and item is not none -%}
    {%- set found = "krippendorff_alpha(distil_labels, " ~ item ~ ", " ~ label ~ ", level := '" ~ level ~ "')" -%}
    {%- set beyond, items = 'alpha', 'items' -%}
    {%- set alike = 'items > 0' -%}
  {%- else -%}
    {% do exceptions.raise_compiler_error(
      "distil_sql.agreement compares two columns (with: the other one, measure cohen_kappa) or rows (item: what was labelled, "
      ~ "measure krippendorff_alpha or fleiss_kappa), not " ~ measure ~ " with these arguments") %}
  {%- endif -%}
  with distil_labels as (select * from {{ model }})
  select * from {{ found }}
  {#- one label for everything: nothing to be told from chance, and no disagreement -#}
  where coalesce({{ items }}, 0) = 0 or not coalesce({{ beyond }} >= {{ at_least }}, {{ alike }}, false)
{% endtest %}

{% macro label_of(column, field) %}
  {{- return(column if field is none else column ~ '.' ~ field) -}}
{% endmacro %}
