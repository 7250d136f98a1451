-- JSON against a JSON schema, in SQL: required fields, types and enumerations of the first two levels, and of the items of
-- lists. What it says of a value is right; what lies deeper is not looked at.
--
--   SELECT distil_misfit(answer, schema) FROM answers;      -- NULL, or what is wrong
--   SELECT apigen_check(tools, calls) FROM function_calls;  -- {'ok': …, 'reason': …}; nothing is executed

-- Whether a JSON value is of a type as schemas and function signatures name it ("integer", "List[str]", "int, optional").
CREATE OR REPLACE MACRO distil_is_type(value, wanted) AS
    CASE regexp_extract(lower(wanted), '^[a-z]+')
        WHEN 'string' THEN json_type(value) = 'VARCHAR'
        WHEN 'str' THEN json_type(value) = 'VARCHAR'
        WHEN 'integer' THEN regexp_matches(CAST(value AS VARCHAR), '^-?\d+(?:\.0*)?$')
        WHEN 'int' THEN regexp_matches(CAST(value AS VARCHAR), '^-?\d+(?:\.0*)?$')
        WHEN 'number' THEN json_type(value) IN ('BIGINT', 'UBIGINT', 'HUGEINT', 'DOUBLE')
        WHEN 'float' THEN json_type(value) IN ('BIGINT', 'UBIGINT', 'HUGEINT', 'DOUBLE')
        WHEN 'boolean' THEN json_type(value) = 'BOOLEAN'
        WHEN 'bool' THEN json_type(value) = 'BOOLEAN'
        WHEN 'array' THEN json_type(value) = 'ARRAY'
        WHEN 'list' THEN json_type(value) = 'ARRAY'
        WHEN 'object' THEN json_type(value) = 'OBJECT'
        WHEN 'dict' THEN json_type(value) = 'OBJECT'
        WHEN 'null' THEN json_type(value) = 'NULL'
        ELSE true END;

-- A key's value in a JSON object, whatever signs the key holds.
CREATE OR REPLACE MACRO distil_key(value, key) AS json_extract(value, '/' || replace(replace(key, '~', '~0'), '/', '~1'));

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
        'it has no ' || list_filter(required, lambda distil_name: NOT list_contains(json_keys(value), distil_name))[1],
        CASE WHEN closed THEN 'there is no '
            || list_filter(json_keys(value), lambda distil_name: NOT list_contains(json_keys(properties), distil_name))[1] END,
        list_filter(list_transform(json_keys(value), lambda distil_name: distil_misfit_one(
            distil_key(value, distil_name), distil_key(properties, distil_name), distil_name)),
            lambda distil_reason: distil_reason IS NOT NULL)[1]);

-- What is wrong with the fields of a JSON object under a JSON schema.
CREATE OR REPLACE MACRO distil_misfit_object(value, schema) AS
    CASE WHEN json_type(value) = 'OBJECT' THEN distil_misfit_fields(
        value, coalesce(json_extract(schema, '$.properties'), '{}'::JSON), json_extract_string(schema, '$.required[*]'),
        schema ->> '$.additionalProperties' = 'false') END;

-- What is wrong with a JSON value under a JSON schema, or NULL. A schema that is no JSON object is wrong itself.
CREATE OR REPLACE MACRO distil_misfit(value, schema) AS
    CASE
        WHEN json_type(schema) IS DISTINCT FROM 'OBJECT' THEN 'the schema is no JSON object'
        WHEN value IS NULL THEN 'it is no JSON'
        ELSE coalesce(
            distil_misfit_one(value, schema, 'the answer'),
            distil_misfit_object(value, schema),
            list_filter(list_transform(CASE WHEN json_type(value) = 'OBJECT' THEN json_keys(value) END, lambda distil_outer:
                    distil_outer || ': ' || distil_misfit_object(
                        distil_key(value, distil_outer), distil_key(json_extract(schema, '$.properties'), distil_outer))),
                lambda distil_reason: distil_reason IS NOT NULL)[1])
    END;

-- The parameters of a function that a call must give.
CREATE OR REPLACE MACRO distil_needed(tool) AS
    CASE WHEN json_type(tool, '$.parameters.properties') IS NOT NULL
        THEN json_extract_string(tool, '$.parameters.required[*]')
        ELSE list_filter(json_keys(tool, '$.parameters'), lambda distil_name:
            NOT regexp_matches(CAST(distil_key(json_extract(tool, '$.parameters'), distil_name) AS VARCHAR), '"default":|\boptional\b')) END;

-- What is wrong with one call of a function, or NULL. A tool is {"name", "parameters"}, bare or under "function"; its
-- parameters are a JSON schema, or name → {"type", …}, where all are required but those with a default or "optional".
CREATE OR REPLACE MACRO distil_call_misfit(call, tool) AS
    CASE
        WHEN call ->> '$.name' IS NULL THEN 'a call has no name'
        WHEN tool IS NULL THEN 'there is no function ' || (call ->> '$.name')
        WHEN coalesce(json_type(call, '$.arguments'), 'OBJECT') <> 'OBJECT' THEN (call ->> '$.name') || ': its arguments are no object'
        ELSE (call ->> '$.name') || ': ' || distil_misfit_fields(
            coalesce(json_extract(call, '$.arguments'), '{}'::JSON),
            coalesce(json_extract(tool, '$.parameters.properties'), json_extract(tool, '$.parameters'), '{}'::JSON),
            distil_needed(tool), true)
    END;

-- The function of the tools that a call names.
CREATE OR REPLACE MACRO distil_tool(tools, called) AS
    list_filter(
        list_transform(CAST(json_extract(tools, '$[*]') AS JSON[]), lambda distil_it: coalesce(json_extract(distil_it, '$.function'), distil_it)),
        lambda distil_it: distil_it ->> '$.name' = called)[1];

-- apigen's execution checker, without execution: whether every call names a function of the tools and gives it the
-- arguments it asks for, of their types. `tools` is a JSON list of functions, `calls` a JSON list of {"name", "arguments"}.
CREATE OR REPLACE MACRO apigen_check(tools, calls) AS
    list_transform([CASE
            WHEN json_type(TRY_CAST(tools AS JSON)) IS DISTINCT FROM 'ARRAY' THEN 'the tools are no JSON list'
            WHEN json_type(TRY_CAST(calls AS JSON)) IS DISTINCT FROM 'ARRAY' THEN 'the calls are no JSON list'
            WHEN json_array_length(TRY_CAST(calls AS JSON)) = 0 THEN 'there is no call'
            ELSE list_filter(list_transform(CAST(json_extract(TRY_CAST(calls AS JSON), '$[*]') AS JSON[]), lambda distil_call:
                    distil_call_misfit(distil_call, distil_tool(TRY_CAST(tools AS JSON), distil_call ->> '$.name'))),
                lambda distil_reason: distil_reason IS NOT NULL)[1] END],
        lambda distil_wrong: {'ok': distil_wrong IS NULL, 'reason': distil_wrong})[1];
