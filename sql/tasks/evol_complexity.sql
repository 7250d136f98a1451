-- evol_complexity: an instruction made more complex, one step of a chain whose steps complexity_scorer tells apart.
-- Paper: What Makes Good Data for Alignment? (Deita; Liu et al., 2023, arXiv:2312.15685); the wording is ours.
-- Inputs: instruction; mutation (optional): constraints, deepening, concretizing, reasoning.
-- Output: the more complex instruction; NULL where the model gave the old one back or spoke about its task instead.
-- Scale: none.
-- Use: SELECT evol_complexity(instruction, mutation := 'concretizing') FROM prompts;
--      SELECT instruction AS before, evol_complexity(instruction) AS after FROM prompts;
CREATE GENERATOR TASK evol_complexity(instruction VARCHAR, mutation VARCHAR DEFAULT 'constraints')
  RETURNS VARCHAR
  SYSTEM $$You make instructions for AI assistants more complex, a little at a time.$$
  PROMPT $${% set ways = {
  'constraints': 'an added limit, condition or format that the answer must keep to',
  'deepening': 'a question that goes one layer further into the same subject',
  'concretizing': 'particular names, numbers and circumstances in the place of general words',
  'reasoning': 'a form in which it can only be answered by thinking through several steps'
} %}
{% if mutation not in ways %}
{{ ("there is no mutation '" ~ mutation ~ "': use " ~ (ways | join(', '))) | reject }}
{% endif %}
Instruction:
{{ instruction }}

Write this instruction again with {{ ways[mutation] }}. A strong assistant should find it somewhat harder, a person should
still find it reasonable and clear, and no more than 20 words may be added. Keep what it is about, and any input it has.

Do not answer it. Write the new instruction alone, after the line "New instruction:".$$
  PARSE $$distil_evolved(response, instruction)$$
  WITH (max_tokens 1024);
