-- Best of n, or rejection sampling: n answers to each instruction, and the one that the judge likes most to train on.
--
--   distil-sql run examples/best_of_n.sql -d data.duckdb
--
-- On a real server: set OPENAI_API_KEY and add --model gpt

CREATE OR REPLACE MODEL generator (TYPE llama_cpp, path 'tiny', temperature 0.9, max_tokens 48);
CREATE OR REPLACE MODEL labeller (TYPE llama_cpp, path 'tiny', temperature 0, max_tokens 64);
CREATE OR REPLACE MODEL gpt (TYPE openai, model 'gpt-4.1-mini', max_tokens 256, price_in 0.40, price_out 1.60);

CREATE OR REPLACE LABELLER TASK grade(instruction VARCHAR, response VARCHAR)
  RETURNS STRUCT(score INTEGER, reason VARCHAR)
  SYSTEM $$You grade answers.$$
  PROMPT $$Instruction: {{ instruction }}
Answer: {{ response }}$$;

CREATE OR REPLACE TABLE candidates AS
SELECT id, instruction, unnest(text_generation_n(instruction, n := 4)) AS response
FROM (FROM read_csv('instructions.csv') ORDER BY id LIMIT 25);

CREATE OR REPLACE TABLE graded AS
SELECT *, grade(instruction, response) AS verdict FROM candidates;

CREATE OR REPLACE TABLE best AS
FROM to_sft(graded, instruction, response, score := verdict.score, min_score := 4, best := true);

-- What n buys: the mean grade of the best of the first one, two, three, four answers.
SELECT n, avg(best) AS mean_of_best FROM (
    SELECT n, id, max(verdict.score) AS best
    FROM (SELECT *, row_number() OVER (PARTITION BY id) AS draw FROM graded) g, range(1, 5) t(n)
    WHERE draw <= n GROUP BY n, id
) GROUP BY n ORDER BY n;
