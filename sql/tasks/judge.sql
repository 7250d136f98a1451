-- judge: grades an answer to an instruction from 1 (wrong or useless) to 5 (right and complete), with a reason.
-- Paper: Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena (Zheng et al., 2023, arXiv:2306.05685): grading of a
--        single answer; the wording is ours.
-- Inputs: instruction, response; criteria (optional): what to grade by, in place of being right and complete.
-- Output: STRUCT(score INTEGER, reason VARCHAR).
-- Scale: 1 to 5.
-- Use: SELECT judge(instruction, response).score FROM generations;
--      SELECT judge(instruction, response, criteria := 'Is it polite?') FROM generations;
CREATE LABELLER TASK judge(instruction VARCHAR, response VARCHAR, criteria VARCHAR DEFAULT NULL)
  RETURNS STRUCT(score INTEGER, reason VARCHAR)
  SYSTEM $${% if criteria %}
You grade answers from 1 to 5, by these criteria and nothing else:
{{ criteria }}
5: meets them in full. 4: with a small flaw. 3: in part. 2: hardly. 1: not at all, or there is no answer.
Give the score and one short sentence of reason.
{%- else %}
You grade answers from 1 to 5. 5: right, complete and clear. 4: right, with a small flaw. 3: partly right.
2: mostly wrong or off the point. 1: wrong or empty. Give the score and one short sentence of reason.
{%- endif %}$$
  PROMPT $$Instruction: {{ instruction }}
Answer: {{ response }}$$
  WITH (max_tokens 256);
