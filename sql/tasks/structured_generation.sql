-- structured_generation: an answer as JSON of a shape that each row chooses for itself.
-- Paper: Efficient Guided Generation for Large Language Models (Willard and Louf, 2023, arXiv:2307.09702), for answers
--        held to a structure: the row's schema goes with the request, to servers as response_format, to llama.cpp as a
--        grammar. What answers all the same is checked.
-- Inputs: instruction; schema, a JSON schema as text, an object at its root (other roots are not every server's).
-- Output: JSON that has the schema's required fields, types and enumerations on its first two levels; else NULL. A row
--         whose schema is none makes no call.
-- Scale: none.
-- Use: SELECT structured_generation(instruction, schema) ->> '$.name' FROM prompts;
--      SELECT structured_generation('Invent a hero.', '{"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}');
CREATE GENERATOR TASK structured_generation(instruction VARCHAR, schema VARCHAR)
  RETURNS JSON
  SYSTEM $$You answer with JSON alone: no words around it, no code fence.$$
  PROMPT $${{ instruction }}

Your answer has to fit this JSON schema:
{{ schema }}$$
  PARSE $$list_filter([CAST(distil_json(response) AS JSON)],
    lambda found: distil_misfit(found, TRY_CAST(schema AS JSON)) IS NULL)[1]$$
  WITH (max_tokens 1024, reask 2, schema '{{ schema }}');
