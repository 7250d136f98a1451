-- clair: the least revision that makes an answer better, so that the pair differs in what matters and little else.
-- Paper: Anchored Preference Optimization and Contrastive Revisions (CLAIR; D'Oosterlinck et al., 2024,
--        arXiv:2408.06266); the wording is ours.
-- Inputs: instruction, response.
-- Output: STRUCT(rationale VARCHAR, revision VARCHAR).
-- Scale: none.
-- Use: SELECT instruction AS prompt, clair(instruction, response).revision AS chosen, response AS rejected FROM generations;
--      SELECT clair(instruction, response) FROM generations;
CREATE GENERATOR TASK clair(instruction VARCHAR, response VARCHAR)
  RETURNS STRUCT(rationale VARCHAR, revision VARCHAR)
  SYSTEM $$You are a teacher who corrects a student's work with as few changes as will do.$$
  PROMPT $$Task:
{{ instruction }}

Student's answer:
{{ response }}

First think about what keeps this answer from being a very good one: mistakes, gaps, things hard to follow. Then correct it.
Change what needs it and leave every other sentence as the student wrote it.
Write in this form:
Reasoning: what you change and why
Corrected answer: the whole answer, corrected$$
  PARSE $$distil_correction(response)$$
  WITH (max_tokens 2048);
