{# Ask for all of a model's calls at once and wait for them, before the model is made: no chunk of rows waits for
   another, and what is answered is kept when dbt is killed. The `distil` materialization does so for a table; for others:

     models:
       my_project:
         +pre-hook: "{{ distil_sql.ask() }}"

   Uses nothing but committed tables: hooks before it must not need a transaction. #}
{% macro ask() %}
  {%- if execute and model.language == 'sql' -%}
    {%- set header = config.get('sql_header', none) -%}
    {%- set queries = [compiled_code] if header is none else [header, compiled_code] -%}
    {%- do run_query('select 1') -%} {#- opens the database, where a profile closes it between models -#}
    {#- dbt-duckdb's way from a macro to a plugin -#}
    {%- do adapter.store_relation(distil_sql.plugin(), this, [], '', '', {'name': model.name, 'queries': queries}) -%}
  {%- endif -%}
{% endmacro %}

{# What dbt-duckdb calls the plugin: its alias, else the last part of its module. #}
{% macro plugin() %}
  {%- for plugin in target.get('plugins') or [] if plugin.module == 'distil_sql.dbt' -%}
    {{ return(plugin.alias or 'dbt') }}
  {%- endfor -%}
  {% do exceptions.raise_compiler_error(
    "target " ~ target.name ~ " of profiles.yml has no tasks: add plugins: [{module: distil_sql.dbt, config: {files: tasks/*.sql}}]") %}
{% endmacro %}
