-- judgelm: scores several answers in one line, then explains.
-- Paper: JudgeLM: Fine-tuned Large Language Models are Scalable Judges (Zhu et al., 2023, arXiv:2310.17631); its form of a
--        line of scores, the wording is ours.
-- Inputs: instruction, generations; shuffle, seed (optional): show the answers in a seeded order.
-- Output: STRUCT(ratings DOUBLE[], rationale VARCHAR), as many ratings as generations and in their order; the rationale
--         numbers the answers as they were shown.
-- Scale: 1 (worst) to 10 (best).
-- Use: SELECT judgelm(instruction, generations).ratings FROM answered;
--      SELECT judgelm(instruction, generations, shuffle := true) FROM answered;
CREATE LABELLER TASK judgelm(instruction VARCHAR, generations VARCHAR[], shuffle BOOLEAN DEFAULT false, seed INTEGER DEFAULT 0)
  RETURNS STRUCT(ratings DOUBLE[], rationale VARCHAR)
  SYSTEM $$You are a careful and fair judge of answers.$$
  PROMPT $${% if not generations %}
{{ 'there is no generation to score' | reject }}
{% endif %}
[Question]
{{ instruction }}
{% for generation in (generations | shuffled(seed) if shuffle else generations) %}

[Answer {{ loop.index }}]
{{ generation or '(no answer)' }}
[End of answer {{ loop.index }}]
{% endfor %}

Score how helpful, relevant, accurate and detailed each of the {{ generations | length }} answers is, from 1 to 10. Write the
{{ generations | length }} scores on the first line, in the order of the answers, with spaces between and nothing else. Then explain
them in a few sentences. Neither order nor length should count.$$
  PARSE $$list_filter(list_transform([distil_judgelm(response, len(generations))], lambda said: {
      'ratings': distil_placed(said.ratings, generations, shuffle, seed),
      'rationale': said.rationale}),
    lambda found: found.ratings IS NOT NULL)[1]$$
  WITH (max_tokens 768, temperature 0);
