-- What the models of this project call; run by macros/distil.py at the start of each plan and run.

CREATE OR REPLACE MODEL generator (TYPE llama_cpp, path 'tiny', temperature 0.7, max_tokens 64);
CREATE OR REPLACE MODEL labeller  (TYPE llama_cpp, path 'tiny', temperature 0);

CREATE OR REPLACE LABELLER TASK grade(instruction VARCHAR, response VARCHAR)
  RETURNS STRUCT(score INTEGER, reason VARCHAR)
  SYSTEM $$You grade answers.$$
  PROMPT $$Instruction: {{ instruction }}
Answer: {{ response }}$$;
