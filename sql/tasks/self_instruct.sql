-- self_instruct: new instructions in the manner of some given ones.
-- Paper: Self-Instruct: Aligning Language Models with Self-Generated Instructions (Wang et al., 2022, arXiv:2212.10560);
--        the wording is ours.
-- Inputs: examples, instructions to start from; count (optional), how many to ask for; application (optional), what the
--         assistant is for; criteria (optional), what they should be like.
-- Output: VARCHAR[], as many as the model wrote, at most `count`.
-- Scale: none.
-- Use: SELECT unnest(self_instruct(list(instruction))) FROM seeds;
--      SELECT self_instruct(examples, count := 10, application := 'a help desk for a bank', sample := i) FROM pool, range(5) t(i);
CREATE GENERATOR TASK self_instruct(examples VARCHAR[], count INTEGER DEFAULT 5, application VARCHAR DEFAULT NULL, criteria VARCHAR DEFAULT NULL)
  RETURNS VARCHAR[]
  SYSTEM $$You think up tasks for an AI assistant.$$
  PROMPT $$Here are some tasks that people gave an assistant:
{% for example in examples %}
{{ loop.index }}. {{ example }}
{% endfor %}

Write {{ count }} more that could stand in the same list{% if application %}, for this assistant: {{ application }}{% endif %}.
- Each asks for something else, with other verbs and subjects than those above and than each other.
- Mix questions and orders, easy and hard, short and long.
- Text alone must be enough to answer: no pictures, files, links or actions in the world.
{% if criteria %}
- {{ criteria }}
{% endif %}
Write a numbered list, one task on a line, and nothing else.$$
  PARSE $$CASE WHEN len(distil_items(response)) > 0 THEN distil_items(response)[:count] END$$
  WITH (max_tokens 1024);
