-- backtranslation_score: how good a training example an instruction and its answer are, from 1 to 5.
-- Paper: Self-Alignment with Instruction Backtranslation (Li et al., 2023, arXiv:2308.06259): its self-curation; the wording
--        is ours.
-- Inputs: instruction, response.
-- Output: STRUCT(score INTEGER, reason VARCHAR).
-- Scale: 1 (does not answer) to 5 (could not be better).
-- Use: SELECT * FROM pairs WHERE backtranslation_score(instruction, response).score = 5;
--      SELECT backtranslation_score(instruction, response) FROM pairs;
CREATE LABELLER TASK backtranslation_score(instruction VARCHAR, response VARCHAR)
  RETURNS STRUCT(score INTEGER, reason VARCHAR)
  SYSTEM $$You choose training examples for an AI assistant.$$
  PROMPT $$Would this be a good example of how an AI assistant should answer its user?

User:
{{ instruction }}

Answer:
{{ response }}

1: incomplete, vague, off the point, or not an answer; perhaps torn out of a web page.
2: deals with most of the request but not with the request itself, or only in general.
3: helpful and complete in the main, but written as from a person, a blog or a forum, not as from an assistant.
4: an assistant's answer, clear and complete, with little to improve.
5: a perfect assistant's answer: to the point, expert, well written, every sentence of use.

Give your reason in a few sentences, then end with a line of this form:
Score: <1 to 5>$$
  PARSE $$distil_scored(response, 1, 5)$$
  WITH (max_tokens 512, temperature 0);
