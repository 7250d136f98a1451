-- Generator and labeller: two answers to each instruction, then a grade for every answer.
--
--   distil-sql run examples/preference.sql -d data.duckdb
--
-- Runs as it stands on the embedded model. On a real server: set OPENAI_API_KEY and add
--   --model gpt

CREATE OR REPLACE MODEL generator (TYPE llama_cpp, path 'tiny', temperature 0.7, max_tokens 64);
CREATE OR REPLACE MODEL labeller (TYPE llama_cpp, path 'tiny', temperature 0, max_tokens 96);
CREATE OR REPLACE MODEL gpt (TYPE openai, model 'gpt-4.1-mini', max_tokens 256, price_in 0.40, price_out 1.60);

CREATE OR REPLACE LABELLER TASK judge(instruction VARCHAR, response VARCHAR)
  RETURNS STRUCT(score INTEGER, reason VARCHAR)
  SYSTEM $$You grade answers.$$
  PROMPT $$Instruction: {{ instruction }}
Answer: {{ response }}$$;

CREATE OR REPLACE TABLE prompts AS
SELECT id, instruction FROM read_csv('instructions.csv');

CREATE OR REPLACE TABLE generations AS
SELECT id, instruction, unnest(text_generation_n(instruction, n := 2)) AS response FROM prompts;

CREATE OR REPLACE TABLE labelled AS
SELECT *, judge(instruction, response) AS verdict FROM generations;

-- The pairs to train on: the better answer against the worse one.
CREATE OR REPLACE TABLE preferences AS
SELECT id, any_value(instruction) AS prompt,
       arg_max(response, verdict.score) AS chosen, arg_min(response, verdict.score) AS rejected
FROM labelled
GROUP BY id
HAVING max(verdict.score) > min(verdict.score)
ORDER BY id;

SELECT instruction, response, verdict.score, verdict.reason FROM labelled ORDER BY id LIMIT 10;
