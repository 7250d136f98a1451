-- Only a generator: an answer to each instruction, as a table to fine-tune on.
--
--   distil-sql run examples/generate.sql -d data.duckdb
--
-- On a real server: set OPENAI_API_KEY and add --model gpt

CREATE OR REPLACE MODEL generator (TYPE llama_cpp, path 'tiny', temperature 0, max_tokens 64);
CREATE OR REPLACE MODEL gpt (TYPE openai, model 'gpt-4.1-mini', max_tokens 256, price_in 0.40, price_out 1.60);

CREATE OR REPLACE TABLE answers AS
SELECT id, instruction, text_generation(instruction) AS response FROM read_csv('instructions.csv');

-- One row a conversation, as trainers of chat models read it.
COPY (
    SELECT [{'role': 'user', 'content': instruction}, {'role': 'assistant', 'content': response}] AS messages
    FROM answers WHERE response IS NOT NULL ORDER BY id
) TO 'sft.jsonl' (FORMAT json);

SELECT instruction, response FROM answers ORDER BY id LIMIT 10;
