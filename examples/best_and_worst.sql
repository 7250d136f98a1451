-- UltraFeedback's way (Cui et al., 2023, arXiv:2310.01377): several models answer, a judge grades every answer, and the
-- best and the worst of each instruction make a preference pair.
--
--   distil-sql run examples/best_and_worst.sql -d data.duckdb
--
-- On real servers: make the pool of those, as in  CREATE MODEL writers (TYPE pool, models ['gpt', 'local'])

CREATE OR REPLACE MODEL careful (TYPE llama_cpp, path 'tiny', temperature 0.2, max_tokens 48);
CREATE OR REPLACE MODEL lively (TYPE llama_cpp, path 'tiny', temperature 1.2, max_tokens 48);
CREATE OR REPLACE MODEL generator (TYPE pool, models ['careful', 'lively']);
CREATE OR REPLACE MODEL labeller (TYPE llama_cpp, path 'tiny', temperature 0, max_tokens 64);
CREATE OR REPLACE MODEL gpt (TYPE openai, model 'gpt-4.1-mini', max_tokens 256, price_in 0.40, price_out 1.60);

CREATE OR REPLACE LABELLER TASK grade(instruction VARCHAR, response VARCHAR)
  RETURNS STRUCT(score INTEGER, reason VARCHAR)
  SYSTEM $$You grade answers.$$
  PROMPT $$Instruction: {{ instruction }}
Answer: {{ response }}$$;

CREATE OR REPLACE TABLE answers AS
SELECT id, instruction, unnest(text_generation_n(instruction, n := 4)) AS response
FROM (FROM read_csv('instructions.csv') ORDER BY id LIMIT 25);

CREATE OR REPLACE TABLE graded AS
SELECT *, grade(instruction, response) AS verdict FROM answers;

CREATE OR REPLACE TABLE pairs AS
SELECT *, split_of(prompt, test := 0.2) AS split
FROM to_dpo(graded, instruction, response, verdict.score, margin := 1);

COPY (SELECT * EXCLUDE (split) FROM pairs WHERE split = 'train') TO 'dpo.train.jsonl' (FORMAT json);
COPY (SELECT * EXCLUDE (split) FROM pairs WHERE split = 'test') TO 'dpo.test.jsonl' (FORMAT json);

SELECT prompt, chosen, rejected, score_chosen, score_rejected FROM pairs LIMIT 10;
