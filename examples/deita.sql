-- Deita (Liu et al., 2023, arXiv:2312.15685): what makes data good for alignment is complexity, quality and diversity. Rows are
-- taken from the highest product of the two scores down, each only if it is far enough from those taken before it,
-- until the budget is spent. Far is a matter of embeddings.
--
--   distil-sql run examples/deita.sql -d data.duckdb
--
-- On a real server: set OPENAI_API_KEY and add --model gpt --embedder small. Every pair of rows is compared once: of a
-- large table, rank the best few thousand alone.

SET VARIABLE budget = 15;
SET VARIABLE distance = 0.5;  -- cosine; the paper's is 0.1, with vectors that lie closer than the embedded model's

CREATE OR REPLACE MODEL generator (TYPE llama_cpp, path 'tiny', temperature 0.7, max_tokens 48);
CREATE OR REPLACE MODEL labeller (TYPE llama_cpp, path 'tiny', temperature 0, max_tokens 64);
CREATE OR REPLACE MODEL embedder (TYPE llama_cpp, path 'tiny', pooling 'mean');
CREATE OR REPLACE MODEL gpt (TYPE openai, model 'gpt-4.1-mini', max_tokens 256, price_in 0.40, price_out 1.60);
CREATE OR REPLACE MODEL small (TYPE openai, model 'text-embedding-3-small', price_in 0.02);

CREATE OR REPLACE LABELLER TASK complexity(instruction VARCHAR)
  RETURNS STRUCT(score INTEGER, reason VARCHAR)
  SYSTEM $$You grade how much an instruction demands, from 1 (nothing) to 5 (knowledge and several steps).$$
  PROMPT $$Instruction: {{ instruction }}$$;

CREATE OR REPLACE LABELLER TASK quality(instruction VARCHAR, response VARCHAR)
  RETURNS STRUCT(score INTEGER, reason VARCHAR)
  SYSTEM $$You grade answers.$$
  PROMPT $$Instruction: {{ instruction }}
Answer: {{ response }}$$;

CREATE OR REPLACE TABLE answers AS
SELECT id, instruction, text_generation(instruction) AS response
FROM (FROM read_csv('instructions.csv') ORDER BY id LIMIT 40);

CREATE OR REPLACE TABLE scored AS
SELECT *, complexity(instruction).score AS complexity, quality(instruction, response).score AS quality,
    embed(instruction || chr(10) || response) AS vector
FROM answers;

-- Best first. A row without a score or a vector has no place.
CREATE OR REPLACE TABLE ranked AS
SELECT *, complexity * quality AS deita, row_number() OVER (ORDER BY complexity * quality DESC, id) AS place
FROM scored WHERE complexity IS NOT NULL AND quality IS NOT NULL AND vector IS NOT NULL;

-- Of each row, the better rows that are near: together what `selected` has to know of distances.
CREATE OR REPLACE TABLE near AS
SELECT b.place, list(a.place) AS better
FROM ranked a JOIN ranked b ON a.place < b.place
WHERE 1 - list_cosine_similarity(a.vector, b.vector) <= getvariable('distance')
GROUP BY b.place;

-- A row is taken unless one that was taken before it is near: so the recursion goes down the ranking, a row a step.
CREATE OR REPLACE TABLE selected AS
WITH RECURSIVE walk AS (
    SELECT 0::BIGINT AS place, []::BIGINT[] AS taken
    UNION ALL
    SELECT r.place, CASE WHEN list_has_any(w.taken, coalesce(n.better, [])) THEN w.taken ELSE list_append(w.taken, r.place) END
    FROM walk w JOIN ranked r ON r.place = w.place + 1 LEFT JOIN near n ON n.place = r.place
    WHERE len(w.taken) < getvariable('budget')
)
SELECT r.* EXCLUDE (vector) FROM ranked r WHERE list_contains((SELECT arg_max(taken, place) FROM walk), r.place) ORDER BY r.place;

CREATE OR REPLACE TABLE sft AS FROM to_sft(selected, instruction, response);

SELECT deita, complexity, quality, instruction, response FROM selected ORDER BY place LIMIT 10;
