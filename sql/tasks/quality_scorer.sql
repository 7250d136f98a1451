-- quality_scorer: how good some answers to one instruction are, scored side by side.
-- Paper: What Makes Good Data for Alignment? (Deita; Liu et al., 2023, arXiv:2312.15685); its form "[1] Score: …", the wording
--        is ours.
-- Inputs: instruction, generations; shuffle, seed (optional): show them in a seeded order.
-- Output: DOUBLE[], a score for each generation in its order, NULL where it got none.
-- Scale: 1 (poor) to 6 (very good).
-- Use: SELECT quality_scorer(instruction, generations) FROM answered;
--      SELECT quality_scorer(instruction, [response, better, best], shuffle := true) FROM evolved;
CREATE LABELLER TASK quality_scorer(instruction VARCHAR, generations VARCHAR[], shuffle BOOLEAN DEFAULT false, seed INTEGER DEFAULT 0)
  RETURNS DOUBLE[]
  SYSTEM $$You score how good answers are.$$
  PROMPT $${% if not generations %}
{{ 'there is no generation to score' | reject }}
{% endif %}
Score each of these {{ generations | length }} answers to the instruction below by its helpfulness, relevance, accuracy, depth,
creativity and detail. 1 is poor, 6 is very good. Set them against each other, so that the better one has the higher score.

Instruction:
{{ instruction }}
{% for generation in (generations | shuffled(seed) if shuffle else generations) %}

[{{ loop.index }}]
{{ generation or '(no answer)' }}
{% endfor %}

Write one line for each, in their order, and nothing else:
[<number>] Score: <1 to 6>$$
  PARSE $$distil_placed(distil_scores(response, 'answer|response', len(generations), 1, 6), generations, shuffle, seed)$$
  WITH (max_tokens 256, temperature 0, truncated 'keep');
