-- How good an answer is, from 1 to 5.
--   SELECT grade(instruction, response).score FROM generations

CREATE OR REPLACE LABELLER TASK grade(instruction VARCHAR, response VARCHAR)
  RETURNS STRUCT(score INTEGER, reason VARCHAR)
  SYSTEM $$You grade answers.$$
  PROMPT $$Instruction: {{ instruction }}
Answer: {{ response }}$$;
