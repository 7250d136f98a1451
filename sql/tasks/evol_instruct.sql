-- evol_instruct: an instruction made harder, or turned into a new one of its kind.
-- Paper: WizardLM: Empowering Large Language Models to Follow Complex Instructions (Xu et al., 2023, arXiv:2304.12244);
--        the wording is ours.
-- Inputs: instruction; mutation (optional): breadth (a new, rarer one), constraints, deepening, concretizing, reasoning.
-- Output: the evolved instruction; NULL where the model gave the old one back or spoke about its task instead.
-- Scale: none.
-- Use: SELECT evol_instruct(instruction, mutation := 'deepening') FROM prompts;
--      SELECT evol_instruct(instruction, ['breadth', 'constraints', 'reasoning'][1 + id % 3]) FROM prompts;
CREATE GENERATOR TASK evol_instruct(instruction VARCHAR, mutation VARCHAR DEFAULT 'constraints')
  RETURNS VARCHAR
  SYSTEM $$You write instructions for AI assistants.$$
  PROMPT $${% set ways = {
  'breadth': 'Write a new instruction of the same field and of like length and difficulty, but on something rarer that few would think of.',
  'constraints': 'Make it harder by one more condition or requirement that the answer has to meet.',
  'deepening': 'Make it harder by asking further into its subject: wider and deeper where it asks for something now.',
  'concretizing': 'Make it more specific: put special cases and named things in the place of general ideas.',
  'reasoning': 'Where a moment of thought would answer it, change it so that the answer takes several steps of reasoning, and ask for them.'
} %}
{% if mutation not in ways %}
{{ ("there is no mutation '" ~ mutation ~ "': use " ~ (ways | join(', '))) | reject }}
{% endif %}
{{ ways[mutation] }}
{% if mutation != 'breadth' %}
It must still make sense, be answerable by text alone, and be at most 20 words longer. Keep any code, table or input in it.
{% else %}
It must make sense and be answerable by text alone.
{% endif %}

Old instruction:
{{ instruction }}

Do not answer it. Write the new instruction alone, after the line "New instruction:".$$
  PARSE $$distil_evolved(response, instruction)$$
  WITH (max_tokens 1024);
