-- JSON against a JSON schema, in SQL: required fields, types and enumerations of the first two levels, and of the items of
-- lists. What it says of a value is right; what lies deeper is not looked at.
--
--   SELECT distil_misfit(answer, schema) FROM answers;      -- NULL, or what is wrong
--   SELECT apigen_check(tools, calls) FROM function_calls;  -- {'ok': …, 'reason': …}; nothing is executed

-- Whether a JSON value is of a type as schemas and function signatures name it ("integer", "List[str]", "int, optional").
CREATE OR REPLACE MACRO distil_is_type(value, wanted) AS
    list_transform([{'held': json_type(value), 'wanted': lower(trim(split_part(coalesce(wanted, ''), ',', 1)))}],
        lambda distil_type: CASE
            WHEN distil_type.held = 'NULL' THEN distil_type.wanted NOT IN ('string', 'integer', 'number', 'boolean', 'array', 'object')
            WHEN regexp_matches(distil_type.wanted, '^(?:string|str)$') THEN distil_type.held = 'VARCHAR'
            WHEN regexp_matches(distil_type.wanted, '^(?:integer|int)$') THEN distil_type.held IN ('BIGINT', 'UBIGINT', 'HUGEINT')
                OR (distil_type.held = 'DOUBLE' AND regexp_matches(value ->> '$', '^-?\d+\.0*$'))
            WHEN regexp_matches(distil_type.wanted, '^(?:number|float|double)$')
                THEN distil_type.held IN ('BIGINT', 'UBIGINT', 'HUGEINT', 'DOUBLE')
            WHEN regexp_matches(distil_type.wanted, '^(?:boolean|bool)$') THEN distil_type.held = 'BOOLEAN'
            WHEN regexp_matches(distil_type.wanted, '^(?:array|list|tuple|set)') THEN distil_type.held = 'ARRAY'
            WHEN regexp_matches(distil_type.wanted, '^(?:object|dict)') THEN distil_type.held = 'OBJECT'
            ELSE true END)[1];

-- What is wrong with a value as one property: its type, its enumeration, the type of its items.
CREATE OR REPLACE MACRO distil_misfit_one(value, schema, what) AS
    CASE
        WHEN json_type(schema, '$.type') = 'VARCHAR' AND NOT distil_is_type(value, schema ->> '$.type')
        THEN what || ' should be ' || (schema ->> '$.type') || ', not ' || lower(json_type(value))
        WHEN json_type(schema, '$.enum') = 'ARRAY' AND NOT list_contains(
            CAST(json_extract(schema, '$.enum[*]') AS VARCHAR[]), CAST(value AS VARCHAR))
        THEN what || ' should be one of ' || json_extract(schema, '$.enum')
        WHEN json_type(value) = 'ARRAY' AND json_type(schema, '$.items.type') = 'VARCHAR' AND len(list_filter(
            json_extract(value, '$[*]'), lambda distil_it: NOT distil_is_type(distil_it, schema ->> '$.items.type'))) > 0
        THEN 'an item of ' || what || ' should be ' || (schema ->> '$.items.type')
    END;

-- The first of: a field that is missing, one that may not be there, one that does not fit. `properties` is a JSON object.
CREATE OR REPLACE MACRO distil_misfit_fields(value, properties, required, closed) AS
    coalesce(
        'it has no ' || list_filter(required, lambda distil_key: NOT list_contains(json_keys(value), distil_key))[1],
        CASE WHEN closed THEN 'there is no '
            || list_filter(json_keys(value), lambda distil_key: NOT list_contains(json_keys(properties), distil_key))[1] END,
        list_filter(list_transform(json_keys(value), lambda distil_key: distil_misfit_one(
            json_extract(value, '$."' || distil_key || '"'), json_extract(properties, '$."' || distil_key || '"'), distil_key)),
            lambda distil_reason: distil_reason IS NOT NULL)[1]);

-- What is wrong with a JSON value under a JSON schema, or NULL. A schema that is no JSON object is wrong itself.
CREATE OR REPLACE MACRO distil_misfit(value, schema) AS
    list_transform([{'value': TRY_CAST(value AS JSON), 'schema': TRY_CAST(schema AS JSON)}], lambda distil_pair: CASE
        WHEN coalesce(json_type(distil_pair.schema), '') <> 'OBJECT' THEN 'the schema is no JSON object'
        WHEN distil_pair.value IS NULL THEN 'it is no JSON'
        ELSE coalesce(
            distil_misfit_one(distil_pair.value, distil_pair.schema, 'the answer'),
            CASE WHEN json_type(distil_pair.value) = 'OBJECT' THEN distil_misfit_fields(
                distil_pair.value, coalesce(json_extract(distil_pair.schema, '$.properties'), '{}'::JSON),
                CAST(json_extract_string(distil_pair.schema, '$.required[*]') AS VARCHAR[]),
                coalesce(distil_pair.schema ->> '$.additionalProperties', '') = 'false') END,
            CASE WHEN json_type(distil_pair.value) = 'OBJECT' THEN list_filter(list_transform(json_keys(distil_pair.value),
                    lambda distil_name: list_transform([{
                            'value': json_extract(distil_pair.value, '$."' || distil_name || '"'),
                            'schema': json_extract(distil_pair.schema, '$.properties."' || distil_name || '"')}],
                        lambda distil_inner: CASE WHEN json_type(distil_inner.value) = 'OBJECT' THEN distil_name || ': ' || distil_misfit_fields(
                            distil_inner.value, coalesce(json_extract(distil_inner.schema, '$.properties'), '{}'::JSON),
                            CAST(json_extract_string(distil_inner.schema, '$.required[*]') AS VARCHAR[]),
                            coalesce(distil_inner.schema ->> '$.additionalProperties', '') = 'false') END)[1]),
                lambda distil_reason: distil_reason IS NOT NULL)[1] END)
        END)[1];

-- What is wrong with one call of a function, or NULL. A tool is {"name", "parameters"}, bare or under "function"; its
-- parameters are a JSON schema, or name → {"type", …}, where all are required but those with a default or "optional".
CREATE OR REPLACE MACRO distil_call_misfit(call, tools) AS
    list_transform([list_filter(
            list_transform(json_extract(tools, '$[*]'),
                lambda distil_tool: coalesce(json_extract(distil_tool, '$.function'), distil_tool)),
            lambda distil_tool: distil_tool ->> '$.name' = call ->> '$.name')[1]],
        lambda distil_found: CASE
            WHEN call ->> '$.name' IS NULL THEN 'a call has no name'
            WHEN distil_found IS NULL THEN 'there is no function ' || (call ->> '$.name')
            WHEN coalesce(json_type(call, '$.arguments'), 'none') NOT IN ('OBJECT', 'none')
            THEN 'the arguments of ' || (call ->> '$.name') || ' are no object'
            ELSE (call ->> '$.name') || ': ' || list_transform([{
                    'arguments': coalesce(json_extract(call, '$.arguments'), '{}'::JSON),
                    'schema': json_type(distil_found, '$.parameters.properties') IS NOT NULL,
                    'properties': coalesce(json_extract(distil_found, '$.parameters.properties'),
                        json_extract(distil_found, '$.parameters'), '{}'::JSON)}],
                lambda distil_tool: distil_misfit_fields(distil_tool.arguments, distil_tool.properties,
                    CASE WHEN distil_tool.schema THEN CAST(json_extract_string(distil_found, '$.parameters.required[*]') AS VARCHAR[])
                    ELSE list_filter(json_keys(distil_tool.properties), lambda distil_key:
                        NOT list_contains(coalesce(json_keys(distil_tool.properties, '$."' || distil_key || '"'), []), 'default')
                        AND NOT contains(coalesce(json_extract_string(distil_tool.properties, '$."' || distil_key || '".type'), ''), 'optional'))
                    END, true))[1]
            END)[1];

-- apigen's execution checker, without execution: whether every call names a function of the tools and gives it the
-- arguments it asks for, of their types. `tools` is a JSON list of functions, `calls` a JSON list of {"name", "arguments"}.
CREATE OR REPLACE MACRO apigen_check(tools, calls) AS
    list_transform([{'tools': TRY_CAST(tools AS JSON), 'calls': TRY_CAST(calls AS JSON)}], lambda distil_given:
        list_transform([CASE
                WHEN coalesce(json_type(distil_given.tools), '') <> 'ARRAY' THEN 'the tools are no JSON list'
                WHEN coalesce(json_type(distil_given.calls), '') <> 'ARRAY' THEN 'the calls are no JSON list'
                WHEN json_array_length(distil_given.calls) = 0 THEN 'there is no call'
                ELSE list_filter(list_transform(json_extract(distil_given.calls, '$[*]'),
                        lambda distil_call: distil_call_misfit(distil_call, distil_given.tools)),
                    lambda distil_reason: distil_reason IS NOT NULL)[1] END],
            lambda distil_wrong: {'ok': distil_wrong IS NULL, 'reason': distil_wrong})[1])[1];
