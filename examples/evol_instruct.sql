-- Evol-Instruct (Xu et al., 2023, arXiv:2304.12244): each round rewrites the instructions of the round before, makes them
-- harder or different, and keeps only those that changed. `round` and `parent_id` tell every instruction's ancestry.
--
--   distil-sql run examples/evol_instruct.sql -d data.duckdb
--
-- On a real server: set OPENAI_API_KEY and add --model gpt. All rounds are one statement. Up to six of them, each round's
-- calls go out together; with more the statement still gives the same, but waits for them chunk by chunk (its status
-- says `blocking`): then take the last round as the next statement's seeds.

SET VARIABLE rounds = 3;

CREATE OR REPLACE MODEL generator (TYPE llama_cpp, path 'tiny', temperature 0.9, max_tokens 48);
CREATE OR REPLACE MODEL gpt (TYPE openai, model 'gpt-4.1-mini', temperature 1, max_tokens 512, price_in 0.40, price_out 1.60);

-- The method is drawn by the row, always the same way, so that running again asks nothing anew.
CREATE OR REPLACE GENERATOR TASK evolve(instruction VARCHAR, method VARCHAR)
  RETURNS VARCHAR
  SYSTEM $$You rewrite instructions. {{ method }} Give the new instruction alone: no answer, no comment.$$
  PROMPT $${{ instruction }}$$
  PARSE $$nullif(trim(regexp_replace(response, '^\s*(new|rewritten)?\s*(instruction|prompt)\s*:\s*', '', 'i')), '')$$;

CREATE OR REPLACE MACRO evolution_method(id, round) AS [
    'Add one more condition that the answer has to meet.',
    'Ask about the same subject, but deeper.',
    'Replace what is general by something particular.',
    'Make it need several steps of reasoning.',
    'Make a new one of the same kind about something rarer.'
][1 + (hash(id || '/' || round) % 5)::INTEGER];

CREATE OR REPLACE TABLE seeds AS
SELECT id::VARCHAR AS id, instruction FROM read_csv('instructions.csv') ORDER BY id::INTEGER LIMIT 12;

-- What is no instruction, too like one of its ancestors, or the same as another of its round, is not evolved further.
CREATE OR REPLACE TABLE evolved AS
WITH RECURSIVE tree AS (
    SELECT id, NULL::VARCHAR AS parent_id, 0 AS round, instruction, [instruction] AS path FROM seeds
    UNION ALL
    SELECT id, parent_id, round, instruction, list_append(path, instruction) FROM (
        SELECT id || '.' || (round + 1) AS id, id AS parent_id, round + 1 AS round, path,
            evolve(instruction, evolution_method(id, round + 1)) AS instruction
        FROM tree WHERE round < getvariable('rounds')
    )
    WHERE text_problem(instruction, min_chars := 3, min_letters := 0.3) IS NULL
      AND len(list_filter(path, lambda old: text_similarity(old, instruction, size := 3) >= 0.9)) = 0
    QUALIFY row_number() OVER (PARTITION BY round, lower(instruction) ORDER BY id) = 1
)
SELECT id, parent_id, round, instruction, path FROM tree ORDER BY round, id;

SELECT round, count(*) AS instructions, any_value(array_to_string(path, ' → ')) AS one_of_them
FROM evolved GROUP BY round ORDER BY round;
