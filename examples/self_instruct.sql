-- Self-Instruct (Wang et al., 2022, arXiv:2212.10560): a pool of instructions grows from seeds. Each round shows the model
-- a few of the pool and asks for more; what the pool has already, or nearly has, is left out by an anti-join.
--
--   distil-sql run examples/self_instruct.sql -d data.duckdb
--
-- On a real server: set OPENAI_API_KEY and add --model gpt. For another round copy the last two statements and count on.

CREATE OR REPLACE MODEL generator (TYPE llama_cpp, path 'tiny', temperature 1.2, max_tokens 64);
CREATE OR REPLACE MODEL gpt (TYPE openai, model 'gpt-4.1-mini', temperature 1, max_tokens 512, price_in 0.40, price_out 1.60);

CREATE OR REPLACE GENERATOR TASK more_instructions(shown VARCHAR[])
  RETURNS VARCHAR[]
  SYSTEM $$You invent tasks for an assistant, each unlike the others. One a line, nothing else.$$
  PROMPT $${% for instruction in shown %}{{ instruction }}
{% endfor %}$$
  PARSE $$list_filter(list_transform(string_split(replace(response, chr(13), ''), chr(10)),
      lambda line: trim(regexp_replace(line, '^\s*(\d+[.):]|[-*•])\s*', ''))), lambda line: length(line) > 2)$$;

-- Twenty prompts a round, each of three instructions of the pool, drawn by a hash of the round.
CREATE OR REPLACE MACRO draws(pool_name, round) AS TABLE
    SELECT draw, list(p.instruction ORDER BY md5(round || '/' || draw || '/' || p.instruction))[:3] AS shown
    FROM query_table(pool_name) p, range(20) d(draw) GROUP BY draw ORDER BY draw;

CREATE OR REPLACE TABLE pool AS
SELECT 0 AS round, instruction FROM read_csv('instructions.csv') ORDER BY md5(instruction) LIMIT 15;

CREATE OR REPLACE TABLE proposed_1 AS
SELECT 1 AS round, unnest(more_instructions(shown)) AS instruction FROM draws(pool, 1);

INSERT INTO pool
SELECT new.* FROM drop_near_duplicates(proposed_1, instruction, threshold := 0.7, size := 3) new
WHERE text_problem(new.instruction, min_chars := 5) IS NULL
  AND NOT EXISTS (FROM pool p WHERE text_similarity(p.instruction, new.instruction, size := 3) >= 0.7);

CREATE OR REPLACE TABLE proposed_2 AS
SELECT 2 AS round, unnest(more_instructions(shown)) AS instruction FROM draws(pool, 2);

INSERT INTO pool
SELECT new.* FROM drop_near_duplicates(proposed_2, instruction, threshold := 0.7, size := 3) new
WHERE text_problem(new.instruction, min_chars := 5) IS NULL
  AND NOT EXISTS (FROM pool p WHERE text_similarity(p.instruction, new.instruction, size := 3) >= 0.7);

SELECT round, count(*) AS instructions, any_value(instruction) AS one_of_them FROM pool GROUP BY round ORDER BY round;
