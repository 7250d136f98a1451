-- evol_quality: an answer made better in one respect, one step of a chain whose steps quality_scorer tells apart.
-- Paper: What Makes Good Data for Alignment? (Deita; Liu et al., 2023, arXiv:2312.15685); the wording is ours.
-- Inputs: instruction, response; mutation (optional): helpfulness, relevance, depth, creativity, details.
-- Output: the better answer.
-- Scale: none.
-- Use: SELECT evol_quality(instruction, response, mutation := 'depth') FROM generations;
--      SELECT response, evol_quality(instruction, response) AS better FROM generations;
CREATE GENERATOR TASK evol_quality(instruction VARCHAR, response VARCHAR, mutation VARCHAR DEFAULT 'helpfulness')
  RETURNS VARCHAR
  SYSTEM $$You improve answers.$$
  PROMPT $${% set ways = {
  'helpfulness': 'Make it of more use: answer what was asked fully, in a way the asker can act on.',
  'relevance': 'Keep it to the point: drop what was not asked for, and add what was asked for and is missing.',
  'depth': 'Take it further: give the reasons, connections and consequences behind what it says.',
  'creativity': 'Make it more original: fresh ideas, examples or ways to put it, without leaving the question.',
  'details': 'Make it more precise: the particulars, numbers, examples or steps that it only hints at.'
} %}
{% if mutation not in ways %}
{{ ("there is no mutation '" ~ mutation ~ "': use " ~ (ways | join(', '))) | reject }}
{% endif %}
Instruction:
{{ instruction }}

Answer:
{{ response }}

Write a better answer. {{ ways[mutation] }} What is right in it should stay, what is wrong should not, and it should be at
most 30 words longer.

Write the new answer alone, after the line "New answer:".$$
  PARSE $$distil_written(response, '(?:new|improved|rewritten|better|revised) (?:answer|response)')$$
  WITH (max_tokens 2048);
