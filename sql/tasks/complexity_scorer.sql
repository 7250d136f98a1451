-- complexity_scorer: how difficult and complex some instructions are, scored side by side.
-- Paper: What Makes Good Data for Alignment? (Deita; Liu et al., 2023, arXiv:2312.15685); its form "[1] Score: …", the wording
--        is ours.
-- Inputs: instructions; shuffle, seed (optional): show them in a seeded order.
-- Output: DOUBLE[], a score for each instruction in its order, NULL where it got none.
-- Scale: 1 (simple) to 6 (very complex); the list of one instruction is scored by itself.
-- Use: SELECT complexity_scorer([instruction, more_complex, most_complex]) FROM evolved;
--      SELECT complexity_scorer(list(instruction), shuffle := true) FROM evolved GROUP BY root_id;
CREATE LABELLER TASK complexity_scorer(instructions VARCHAR[], shuffle BOOLEAN DEFAULT false, seed INTEGER DEFAULT 0)
  RETURNS DOUBLE[]
  SYSTEM $$You score how complex instructions are.$$
  PROMPT $${% if not instructions %}
{{ 'there is no instruction to score' | reject }}
{% endif %}
Score each of these {{ instructions | length }} instructions by how difficult it is to carry out well: how many demands it makes, how
much knowledge and how many steps of thought it takes. 1 is simple, 6 is very complex. Length alone does not count. Set
them against each other, so that the harder one has the higher score.
{% for instruction in (instructions | shuffled(seed) if shuffle else instructions) %}

[{{ loop.index }}]
{{ instruction or '(empty)' }}
{% endfor %}

Write one line for each, in their order, and nothing else:
[<number>] Score: <1 to 6>$$
  PARSE $$distil_placed(distil_scores(response, 'instruction', len(instructions), 1, 6), instructions, shuffle, seed)$$
  WITH (max_tokens 256, temperature 0, truncated 'keep');
