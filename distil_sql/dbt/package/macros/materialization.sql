{# A table made by demand, drain and replay: every call is under way before the first answer is waited for, then dbt
   makes its table as it always does, answered from the ledger. #}
{% materialization distil, adapter='duckdb', supported_languages=['sql'] %}
  {% do distil_sql.ask() %}
  {{ return(dbt.materialization_table_duckdb()) }}
{% endmaterialization %}
