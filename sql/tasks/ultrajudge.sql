-- ultrajudge: rates several answers in several areas each, and gives every answer a final score.
-- Paper: UltraFeedback (Cui et al., 2023, arXiv:2310.01377) and JudgeLM (Zhu et al., 2023, arXiv:2310.17631), whose
--        aspects and scores it puts together; the wording is ours.
-- Inputs: instruction, generations; areas (optional), names or descriptions; shuffle, seed (optional): show the answers in a
--         seeded order.
-- Output: STRUCT(score DOUBLE, areas STRUCT(area VARCHAR, rating DOUBLE, rationale VARCHAR)[])[], one for each generation in
--         its order, NULL where it got no score; an area without a rating has NULL there.
-- Scale: areas 1 (poor) to 4 (excellent), score 1 to 10.
-- Use: SELECT ultrajudge(instruction, generations) FROM answered;
--      SELECT ultrajudge(instruction, generations, areas := ['Accuracy', 'Tone']) FROM answered;
CREATE LABELLER TASK ultrajudge(instruction VARCHAR, generations VARCHAR[], areas VARCHAR[] DEFAULT ['Practical accuracy', 'Clarity and transparency', 'Authenticity and reliability', 'Compliance with the instruction'], shuffle BOOLEAN DEFAULT false, seed INTEGER DEFAULT 0)
  RETURNS STRUCT(score DOUBLE, areas STRUCT(area VARCHAR, rating DOUBLE, rationale VARCHAR)[])[]
  SYSTEM $$You judge answers area by area, then as a whole.$$
  PROMPT $${% if not generations %}
{{ 'there is no generation to judge' | reject }}
{% endif %}
Areas:
{% for area in areas %}
- {{ area }}
{% endfor %}

Instruction:
{{ instruction }}
{% for generation in (generations | shuffled(seed) if shuffle else generations) %}

#### Answer {{ loop.index }}
{{ generation or '(no answer)' }}
{% endfor %}

Rate each of the {{ generations | length }} answers in each area: 1 poor, 2 fair, 3 good, 4 excellent. Then give it a score from
1 to 10. Write for each answer, in their order and in this form:
#### Answer <number>
{% for area in areas %}
{{ area }}: <1 to 4> - <a short reason>
{% endfor %}
Score: <1 to 10>$$
  PARSE $$distil_placed(distil_judged(response, len(generations), areas), generations, shuffle, seed)$$
  WITH (max_tokens 1536, temperature 0);
