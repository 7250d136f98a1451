-- From labels to training sets: rows of a table as the columns and shapes that trainers (TRL and its kin) read.
--
--   FROM to_dpo(labelled, instruction, response, verdict.score);
--   FROM to_kto(labelled, instruction, response, verdict.score >= 4);
--
-- `tbl` is a table, view or CTE, by its name. The other inputs are expressions over its columns: a column, a field of a
-- struct, a cast, a CASE. Rows without a prompt, an answer or (where one is needed) a score are left out. The same rows
-- and the same seed give the same result, on any machine. Helpers are called distil_….

-- One turn as the list of messages that chat trainers read; no system message where `system` is NULL.
CREATE OR REPLACE MACRO user_message(prompt, system := NULL) AS
    CASE WHEN system IS NULL THEN [{'role': 'user', 'content': prompt::VARCHAR}]
    ELSE [{'role': 'system', 'content': system::VARCHAR}, {'role': 'user', 'content': prompt::VARCHAR}] END;

CREATE OR REPLACE MACRO assistant_message(response) AS [{'role': 'assistant', 'content': response::VARCHAR}];

CREATE OR REPLACE MACRO to_messages(prompt, response, system := NULL) AS
    list_concat(user_message(prompt, system := system), assistant_message(response));

-- The order in which ties and draws fall: fixed by the seed and the text, not by the order of rows.
CREATE OR REPLACE MACRO distil_order(seed, value) AS md5(seed::VARCHAR || ':' || value::VARCHAR);

-- Supervised fine-tuning: one conversation a row. With a score, only rows of at least `min_score`, or (`best`) only the
-- best answer of each prompt.
CREATE OR REPLACE MACRO to_sft(tbl, prompt, response, system := NULL, score := NULL, min_score := NULL, best := false) AS TABLE
    WITH distil_rows AS (
        SELECT prompt AS asked, response AS answer, system AS instructions, score AS points, row_number() OVER () AS place
        FROM query_table(tbl)
    )
    SELECT to_messages(distil_rows.asked, distil_rows.answer, system := distil_rows.instructions) AS messages
    FROM distil_rows
    WHERE distil_rows.asked IS NOT NULL AND distil_rows.answer IS NOT NULL
        AND (min_score IS NULL OR distil_rows.points >= min_score)
    QUALIFY NOT best OR row_number() OVER (
        PARTITION BY distil_rows.asked
        ORDER BY distil_rows.points DESC NULLS LAST, distil_order(0, distil_rows.answer), distil_rows.place) = 1
    ORDER BY distil_rows.place;

-- The same as two columns, for trainers that learn from the completion alone. `prompt` and `response` may be messages.
CREATE OR REPLACE MACRO to_prompt_completion(tbl, prompt, response, score := NULL, min_score := NULL) AS TABLE
    WITH distil_rows AS (
        SELECT prompt AS asked, response AS answer, score AS points, row_number() OVER () AS place FROM query_table(tbl)
    )
    SELECT distil_rows.asked AS prompt, distil_rows.answer AS completion
    FROM distil_rows
    WHERE distil_rows.asked IS NOT NULL AND distil_rows.answer IS NOT NULL
        AND (min_score IS NULL OR distil_rows.points >= min_score)
    ORDER BY distil_rows.place;

-- A better and a worse answer of each prompt, which is what every preference format is made of.
-- strategy: 'worst' sets the best answer against the worst; 'random' against one drawn from those that are `margin`
-- worse; 'all' gives every pair. keep_ties: pairs of equal score may stand (they say nothing, but some want them).
CREATE OR REPLACE MACRO distil_pairs(tbl, prompt, response, score, strategy, keep_ties, margin, seed) AS TABLE
    WITH distil_rows AS (
        SELECT prompt AS asked, response AS answer, score::DOUBLE AS points, row_number() OVER () AS place
        FROM query_table(tbl)
    ), distil_answers AS (
        SELECT distil_rows.asked, distil_rows.answer, max(distil_rows.points) AS points, min(distil_rows.place) AS place
        FROM distil_rows
        WHERE distil_rows.asked IS NOT NULL AND distil_rows.answer IS NOT NULL
            AND distil_rows.points IS NOT NULL AND NOT isnan(distil_rows.points)
        GROUP BY distil_rows.asked, distil_rows.answer
    ), distil_ranked AS (
        SELECT a.asked, a.answer, a.points, a.place, distil_order(seed, concat_ws(chr(31), a.asked::VARCHAR, a.answer::VARCHAR)) AS draw,
            row_number() OVER (PARTITION BY a.asked ORDER BY a.points DESC, draw) AS rank,
            min(a.place) OVER (PARTITION BY a.asked) AS first
        FROM distil_answers a
    )
    SELECT c.asked, c.answer AS better, r.answer AS worse, c.points AS points_better, r.points AS points_worse, c.first
    FROM distil_ranked c JOIN distil_ranked r ON c.asked = r.asked AND c.rank < r.rank
    WHERE (strategy = 'all' OR c.rank = 1)
        AND c.points - r.points >= margin AND (keep_ties OR c.points > r.points)
    QUALIFY CASE lower(strategy) WHEN 'all' THEN true
        WHEN 'worst' THEN row_number() OVER (PARTITION BY c.asked, c.rank ORDER BY r.points, r.draw) = 1
        WHEN 'random' THEN row_number() OVER (PARTITION BY c.asked, c.rank ORDER BY md5(r.draw)) = 1
        ELSE error('there is no strategy ''' || strategy || ''': use ''worst'', ''random'' or ''all''') END
    ORDER BY c.first, c.rank, r.rank;

-- Preference pairs (DPO, CPO, IPO, …) as texts. For conversations give messages:
--   FROM to_dpo(labelled, user_message(instruction), assistant_message(response), verdict.score)
CREATE OR REPLACE MACRO to_dpo(tbl, prompt, response, score, strategy := 'worst', keep_ties := false, margin := 0, seed := 0) AS TABLE
    SELECT p.asked AS prompt, p.better AS chosen, p.worse AS rejected,
        p.points_better AS score_chosen, p.points_worse AS score_rejected
    FROM distil_pairs(tbl, prompt, response, score, strategy, keep_ties, margin, seed) p
    ORDER BY p.first, p.points_better DESC, p.points_worse DESC;

-- Preference pairs as conversations (ORPO and any trainer that applies a chat template).
CREATE OR REPLACE MACRO to_orpo(tbl, prompt, response, score, system := NULL, strategy := 'worst', keep_ties := false, margin := 0, seed := 0) AS TABLE
    SELECT user_message(p.asked.question, system := p.asked.instructions) AS prompt,
        assistant_message(p.better) AS chosen, assistant_message(p.worse) AS rejected,
        p.points_better AS score_chosen, p.points_worse AS score_rejected
    FROM distil_pairs(tbl, CASE WHEN prompt IS NOT NULL THEN {'question': prompt, 'instructions': system} END,
        response, score, strategy, keep_ties, margin, seed) p
    ORDER BY p.first, p.points_better DESC, p.points_worse DESC;

-- Reward modelling: whole conversations that differ in the last turn, and by how much the better one is better.
CREATE OR REPLACE MACRO to_reward(tbl, prompt, response, score, system := NULL, strategy := 'all', margin := 0, seed := 0) AS TABLE
    SELECT to_messages(p.asked.question, p.better, system := p.asked.instructions) AS chosen,
        to_messages(p.asked.question, p.worse, system := p.asked.instructions) AS rejected,
        p.points_better - p.points_worse AS margin
    FROM distil_pairs(tbl, CASE WHEN prompt IS NOT NULL THEN {'question': prompt, 'instructions': system} END,
        response, score, strategy, false, margin, seed) p
    ORDER BY p.first, p.points_better DESC, p.points_worse DESC;

-- KTO: single answers, each wanted or not. `wanted` is any condition; rows for which it is NULL are left out.
CREATE OR REPLACE MACRO to_kto(tbl, prompt, response, wanted) AS TABLE
    WITH distil_rows AS (
        SELECT prompt AS asked, response AS answer, wanted::BOOLEAN AS verdict, row_number() OVER () AS place
        FROM query_table(tbl)
    )
    SELECT distil_rows.asked AS prompt, distil_rows.answer AS completion, distil_rows.verdict AS label
    FROM distil_rows
    WHERE distil_rows.asked IS NOT NULL AND distil_rows.answer IS NOT NULL AND distil_rows.verdict IS NOT NULL
    ORDER BY distil_rows.place;

-- Which split a row belongs to, by its key: rows that share a key (a prompt, a document) stay together, rows keep their
-- split when others come or go.  SELECT *, split_of(instruction, test := 0.1) AS split FROM …
CREATE OR REPLACE MACRO distil_fraction(seed, value) AS
    ('0x' || left(md5(seed::VARCHAR || ':' || value::VARCHAR), 12))::BIGINT / 281474976710656.0;

CREATE OR REPLACE MACRO split_of(key, test := 0.1, validation := 0, seed := 0) AS
    CASE WHEN key IS NULL THEN NULL
        WHEN distil_fraction(seed, key) < test THEN 'test'
        WHEN distil_fraction(seed, key) < test + validation THEN 'validation'
        ELSE 'train' END;
