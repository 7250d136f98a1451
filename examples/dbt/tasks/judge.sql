CREATE LABELLER TASK judge(instruction VARCHAR, response VARCHAR)
  RETURNS STRUCT(score INTEGER, reason VARCHAR)
  SYSTEM $$You grade answers.$$
  PROMPT $$Instruction: {{ instruction }}
Answer: {{ response }}$$;
