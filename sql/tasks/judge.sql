-- judge: grades an answer to an instruction from 1 (wrong or useless) to 5 (right and complete), with a reason.
-- Paper: LLM-as-a-judge, single-answer grading (Zheng et al., 2023, arXiv:2306.05685); the wording is ours.
-- Inputs: instruction, response. Output: STRUCT(score INTEGER, reason VARCHAR).
-- Use: SELECT judge(instruction, response).score FROM generations;
--      SELECT judge_details(instruction, response) FROM generations;
CREATE LABELLER TASK judge(instruction VARCHAR, response VARCHAR)
  RETURNS STRUCT(score INTEGER, reason VARCHAR)
  SYSTEM $$You grade answers from 1 to 5. 5: right, complete and clear. 4: right, with a small flaw. 3: partly right.
2: mostly wrong or off the point. 1: wrong or empty. Give the score and one short sentence of reason.$$
  PROMPT $$Instruction: {{ instruction }}
Answer: {{ response }}$$
  WITH (max_tokens 256);
