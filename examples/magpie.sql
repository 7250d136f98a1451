-- Magpie (Xu et al., 2024, arXiv:2406.08464), two turns: a chat model that is given nothing but the start of the user's turn
-- writes what a user might ask; it answers; it asks again with the conversation before it; it answers again.
--
--   distil-sql run examples/magpie.sql -d data.duckdb
--
-- The prompt has to end where the user begins to speak, which is what the model's prompt_format says here (for ChatML);
-- vLLM and SGLang take the same as extra {'chat_template': '…'}.

CREATE OR REPLACE MODEL generator (TYPE llama_cpp, path 'tiny', temperature 0.7, max_tokens 48);
CREATE OR REPLACE MODEL asker (TYPE llama_cpp, path 'tiny', temperature 1.0, max_tokens 48, stop '<|im_end|>', prompt_format
    '{% for m in messages if m.content %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}<|im_start|>user
');

CREATE OR REPLACE TABLE first_asked AS
SELECT i AS id, magpie(sample := i::INTEGER, model := 'asker') AS question FROM range(24) t(i);

-- The same question twice is worth one answer.
CREATE OR REPLACE TABLE first_turn AS
SELECT id, question, text_generation(question) AS answer
FROM drop_near_duplicates(first_asked, question) WHERE text_problem(question, min_chars := 5) IS NULL;

CREATE OR REPLACE TABLE second_asked AS
SELECT id, to_messages(question, answer) AS turns, magpie(messages := turns, model := 'asker') AS question
FROM first_turn WHERE answer IS NOT NULL;

CREATE OR REPLACE TABLE chats AS
SELECT id, list_concat(turns, user_message(question)) AS asked, chat_generation(asked) AS answer
FROM second_asked WHERE text_problem(question, min_chars := 5) IS NULL;

CREATE OR REPLACE TABLE sft AS
SELECT list_concat(asked, assistant_message(answer)) AS messages FROM chats WHERE answer IS NOT NULL ORDER BY id;

SELECT asked[1].content AS first_question, asked[3].content AS second_question, answer FROM chats ORDER BY id LIMIT 10;
