-- Evol-Instruct (Xu et al., 2023, arXiv:2304.12244): each round rewrites the instructions of the round before, makes them
-- harder or different, and keeps only those that changed. `round` and `parent_id` tell every instruction's ancestry.
--
--   distil-sql run examples/evol_instruct.sql -d data.duckdb
--
-- On a real server: set OPENAI_API_KEY and add --model gpt. For another round copy the last INSERT and count on.

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

CREATE OR REPLACE TABLE evolved AS
SELECT id::VARCHAR AS id, NULL::VARCHAR AS parent_id, 0 AS round, instruction
FROM read_csv('instructions.csv') ORDER BY id LIMIT 12;

CREATE OR REPLACE TABLE round_1 AS
SELECT id || '.1' AS id, id AS parent_id, 1 AS round, evolve(instruction, evolution_method(id, 1)) AS instruction
FROM evolved WHERE round = 0;

INSERT INTO evolved
SELECT r.* FROM round_1 r
WHERE text_problem(r.instruction, min_chars := 3, min_letters := 0.3) IS NULL
  AND NOT EXISTS (FROM evolved e WHERE text_similarity(e.instruction, r.instruction, size := 3) >= 0.9)
  AND NOT EXISTS (FROM round_1 s WHERE s.id < r.id AND lower(s.instruction) = lower(r.instruction));

CREATE OR REPLACE TABLE round_2 AS
SELECT id || '.2' AS id, id AS parent_id, 2 AS round, evolve(instruction, evolution_method(id, 2)) AS instruction
FROM evolved WHERE round = 1;

INSERT INTO evolved
SELECT r.* FROM round_2 r
WHERE text_problem(r.instruction, min_chars := 3, min_letters := 0.3) IS NULL
  AND NOT EXISTS (FROM evolved e WHERE text_similarity(e.instruction, r.instruction, size := 3) >= 0.9)
  AND NOT EXISTS (FROM round_2 s WHERE s.id < r.id AND lower(s.instruction) = lower(r.instruction));

-- The whole ancestry of each instruction that was evolved last.
WITH RECURSIVE ancestry AS (
    SELECT id, parent_id, instruction AS path FROM evolved WHERE round = (SELECT max(round) FROM evolved)
    UNION ALL
    SELECT a.id, e.parent_id, e.instruction || ' → ' || a.path FROM ancestry a JOIN evolved e ON e.id = a.parent_id
)
SELECT path FROM ancestry WHERE parent_id IS NULL ORDER BY id LIMIT 5;
