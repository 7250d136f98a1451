-- apigen_generator: requests that need the functions of some tools, with the calls that answer them.
-- Paper: APIGen: Automated Pipeline for Generating Verifiable and Diverse Function-Calling Datasets (Liu et al., 2024,
--        arXiv:2406.18518); its form of query and answers, the wording is ours.
-- Inputs: tools, a JSON list of {"name", "description", "parameters"}; examples (optional), text of some queries and
--         calls; count (optional), how many; parallel (optional), whether each needs several calls.
-- Output: STRUCT(query VARCHAR, answers STRUCT(name VARCHAR, arguments JSON)[])[].
-- Scale: none; check with apigen_check(tools, to_json(answers)), which runs nothing, then apigen_semantic_checker.
-- Use: SELECT unnest(apigen_generator(tools, sample := i), recursive := true) FROM toolsets, range(10) t(i);
--      SELECT * FROM made WHERE apigen_check(tools, to_json(answers)).ok;
CREATE GENERATOR TASK apigen_generator(tools VARCHAR, examples VARCHAR DEFAULT NULL, count INTEGER DEFAULT 3, parallel BOOLEAN DEFAULT false)
  RETURNS STRUCT(query VARCHAR, answers STRUCT(name VARCHAR, arguments JSON)[])[]
  SYSTEM $$You write training data for assistants that call functions.$$
  PROMPT $$Functions:
{{ tools }}
{% if examples %}

Examples of what is wanted:
{{ examples }}
{% endif %}

Write {{ count }} different requests of a user that these functions can fulfil{% if parallel %}, each by two or more calls that do not wait for each other{% endif %}.
A request is in everyday words, names no function, and gives every value that the calls need. For each write the calls that
answer it: the name of a function above, and its arguments with values of the right type, all that are required and none
that the function does not have.$$
  WITH (max_tokens 2048);
