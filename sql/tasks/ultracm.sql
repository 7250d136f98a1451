-- ultracm: a critique of an answer, to improve it by, and an overall score.
-- Paper: UltraFeedback: Boosting Language Models with Scaled AI Feedback (Cui et al., 2023, arXiv:2310.01377): its critique
--        model UltraCM; the wording is ours.
-- Inputs: instruction, response.
-- Output: STRUCT(score DOUBLE, critique VARCHAR).
-- Scale: 1 (worst) to 10 (best).
-- Use: SELECT unnest(ultracm(instruction, response)) FROM generations;
--      SELECT ultracm(instruction, response).critique FROM generations;
CREATE LABELLER TASK ultracm(instruction VARCHAR, response VARCHAR)
  RETURNS STRUCT(score DOUBLE, critique VARCHAR)
  SYSTEM $$You criticize answers so that their author can do better.$$
  PROMPT $$Instruction:
{{ instruction }}

Answer:
{{ response }}

Tell the author what is wrong with this answer or missing from it, in substance and in form, and how to put it right. Be
particular: point at the place, say what to change. Praise only what must not be lost. Do not write a new answer.
Then weigh it as a whole: is it right, useful, honest, and what was asked for?
Write in this form:
Overall score: <1 to 10>
Critique: <your critique>$$
  PARSE $$list_filter(list_transform([distil_scored(response, 1, 10)], lambda said: {'score': said.score, 'critique': said.reason}),
    lambda found: found.critique IS NOT NULL)[1]$$
  WITH (max_tokens 768, temperature 0);
