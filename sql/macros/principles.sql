-- Principles for text_generation: which one a row is answered on, drawn the same way whenever it is asked.
--
--   SELECT text_generation(instruction, principle := draw_principle(instruction)) FROM prompts;
--   SELECT text_generation(instruction, principle := principle) FROM with_principles('prompts');

CREATE OR REPLACE MACRO principles() AS
    ['harmlessness', 'helpfulness', 'truthfulness', 'honesty', 'verbalized_calibration'];

-- One principle for a key (the instruction, an id), by weight; without weights each is as likely. Principles that the
-- weights leave out are not drawn.  weights := {'truthfulness': 3, 'honesty': 1}
CREATE OR REPLACE MACRO draw_principle(key, weights := NULL, seed := 0) AS
    list_transform([{
            'names': CASE WHEN weights IS NULL THEN principles() ELSE json_keys(to_json(weights)) END,
            'points': CASE WHEN weights IS NULL THEN [1.0, 1, 1, 1, 1]::DOUBLE[]
                ELSE CAST(json_extract(to_json(weights), '$.*') AS DOUBLE[]) END,
            'at': ('0x' || left(md5('principle:' || seed || ':' || key), 8))::BIGINT / 4294967296.0}],
        lambda distil_draw: distil_draw.names[len(list_filter(range(1, len(distil_draw.points) + 1),
            lambda distil_i: list_sum(distil_draw.points[:distil_i]) <= distil_draw.at * list_sum(distil_draw.points))) + 1])[1];

-- The principle of the row at a place (from 1): every five rows that follow each other have each principle once, in
-- an order drawn for them.
CREATE OR REPLACE MACRO balanced_principle(place, seed := 0) AS
    list_sort(list_transform(principles(), lambda distil_it:
        [md5('principles:' || seed || ':' || ((place - 1) // 5) || ':' || distil_it), distil_it]))[((place - 1) % 5 + 1)::INTEGER][2];

-- A table with a column `principle`: balanced over its rows, or with weights drawn by each row's own text.
CREATE OR REPLACE MACRO with_principles(tbl, weights := NULL, seed := 0) AS TABLE
    SELECT distil_rows.*, CASE WHEN weights IS NULL
            THEN balanced_principle(row_number() OVER (), seed := seed)
            ELSE draw_principle(to_json(distil_rows)::VARCHAR, weights := weights, seed := seed) END AS principle
    FROM query_table(tbl) AS distil_rows;
