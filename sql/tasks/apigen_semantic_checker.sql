-- apigen_semantic_checker: whether function calls, and what they returned, do what the request asked for.
-- Paper: APIGen: Automated Pipeline for Generating Verifiable and Diverse Function-Calling Datasets (Liu et al., 2024,
--        arXiv:2406.18518): its third stage; the wording is ours.
-- Inputs: query; calls, as JSON; tools (optional), the functions as JSON; results (optional), what the calls returned.
-- Output: STRUCT(thought VARCHAR, passes BOOLEAN).
-- Scale: passes is true or false.
-- Use: SELECT * FROM made WHERE apigen_semantic_checker(query, to_json(answers)).passes;
--      SELECT apigen_semantic_checker(query, calls, tools := tools, results := results) FROM made;
CREATE LABELLER TASK apigen_semantic_checker(query VARCHAR, calls VARCHAR, tools VARCHAR DEFAULT NULL, results VARCHAR DEFAULT NULL)
  RETURNS STRUCT(thought VARCHAR, passes BOOLEAN)
  SYSTEM $$You check function calls against what a user asked for.$$
  PROMPT $$Request: {{ query }}
{% if tools %}

Functions:
{{ tools }}
{% endif %}

Calls:
{{ calls }}
{% if results %}

Results:
{{ results }}
{% endif %}

The calls fail where they do not serve what the user is after, where a function or a value does not fit the request, where
one is missing or too many{% if results %}, or where the results are an error or beside the point{% endif %}. Otherwise they pass.
Say first what you think in a sentence or two, then whether they pass.$$
  WITH (max_tokens 512, temperature 0);
