-- Reading what models write. The tasks under sql/tasks/ are read with these, and a task of your own may be:
--
--   PARSE $$distil_rating(response, 'rating|score', 1, 5)$$
--   PARSE $$distil_items(response)$$
--
-- Each gives NULL, never an error, for a text that does not say what is looked for. `names` are alternatives of a regular
-- expression (RE2), case apart. A macro's argument is put wherever it is named, so what is used twice is bound once, in
-- list_transform([value], lambda name: …)[1].

-- The answer with Unix line ends, without a reasoning model's thoughts, and without white space around it.
CREATE OR REPLACE MACRO distil_text(answer) AS
    regexp_replace(
        regexp_replace(regexp_replace(answer, '\r\n?', chr(10), 'g'), '(?is)^\s*<think>.*?(?:</think>|\z)', ''),
        '^\s+|\s+$', '', 'g');

-- A text, or NULL where it is empty.
CREATE OR REPLACE MACRO distil_filled(said) AS nullif(regexp_replace(said, '^\s+|\s+$', '', 'g'), '');

-- The JSON object or list in an answer: all of it, a fenced block, or what lies between the outermost brackets.
CREATE OR REPLACE MACRO distil_json(answer) AS
    list_transform([distil_text(answer)], lambda distil_said: list_filter([
            distil_said,
            regexp_extract(distil_said, '(?s)```\w*\s*(.*?)```', 1),
            regexp_extract(distil_said, '(?s)[\[{].*[\]}]'),
            regexp_extract(distil_said, '(?s)\{.*\}'),
            regexp_extract(distil_said, '(?s)\[.*\]')
        ], lambda distil_it: regexp_matches(distil_it, '^\s*[\[{]') AND json_valid(distil_it))[1])[1];

-- The complete flat objects of a JSON list that may have been cut short: no nesting, in their order.
CREATE OR REPLACE MACRO distil_objects(answer) AS
    list_filter(regexp_extract_all(answer, '\{[^{}]*\}'), lambda distil_it: json_valid(distil_it));

-- A number on a scale. "4.5/5", "4 (good)" and "4 out of 5" are numbers from 1 to 5; "3/10", "9" and "4-5" are not.
CREATE OR REPLACE MACRO distil_on_scale(said, low, high) AS
    list_transform([regexp_replace(said,
            '(?i)(?:on )?(?:a |the )?scale (?:of|from) \d+ ?(?:to|-|–) ?\d+|[\[(]\d+ ?(?:to|-|–) ?\d+[\])]', '', 'g')],
        lambda distil_said: CASE
            WHEN regexp_matches(distil_said, '^[^\d]*\d+(?:[.,]\d+)?[-–]\d') THEN NULL
            WHEN coalesce(TRY_CAST(regexp_extract(distil_said,
                '(?i)^[^\d]*\d+(?:[.,]\d+)?[*_ ]*(?:/|out of)[*_ ]*(\d+)', 1) AS DOUBLE), high) <> high THEN NULL
            ELSE list_filter([TRY_CAST(replace(regexp_extract(distil_said, '-?\d+(?:[.,]\d+)?'), ',', '.') AS DOUBLE)],
                lambda distil_it: distil_it BETWEEN low AND high)[1] END)[1];

-- The pattern of a label at the start of a line, as people and models write one: "Score:", "**Score:**", "## Score",
-- "- Score (1-5) - ", "2. Score =". Begin a pattern with '(?ims)' before it.
CREATE OR REPLACE MACRO distil_label(names) AS
    '^[ \t>#*_•+-]*(?:\d+[.)][ \t]*)?["*_`]*(?:' || names
    || ')["*_`]*[ \t]*(?:[(\[][^)\]\n]*[)\]])?["*_`]*[ \t]*(?:[:=–—]+|-+[ \t]|$)[*_]*[ \t]*';

-- The text after the first label of these names, up to a label of the names in `ends`, or to the end.
CREATE OR REPLACE MACRO distil_after(said, names, ends := '\z\b') AS
    distil_filled(regexp_extract(said,
        '(?ims)' || distil_label(names) || '(.*?)(?:' || distil_label(ends) || '|\z)', 1));

-- The text before the first label of these names.
CREATE OR REPLACE MACRO distil_before(said, names) AS
    distil_filled(regexp_extract(said, '(?ims)\A(.*?)(?:' || distil_label(names) || '|\z)', 1));

-- The number that follows a label; else one that is said in a sentence ("a rating of 4"), else all there is ("4/5").
CREATE OR REPLACE MACRO distil_rating(answer, names, low, high) AS
    list_transform([distil_text(answer)], lambda distil_answer: coalesce(
        distil_on_scale(regexp_extract(distil_answer, '(?im)' || distil_label(names) || '\s*([^\n]*)', 1), low, high),
        distil_on_scale(regexp_extract(distil_answer,
            '(?i)\b(?:' || names || ')["*_`]*(?: of| is| would be|:| =)+["*_` \t]*(-?\d[^\n]*)', 1), low, high),
        distil_on_scale(regexp_extract(distil_answer,
            '\A[\s*_"`(\[]*(-?\d+(?:[.,]\d+)?(?:\s*(?:/|out of)\s*\d+)?)[\s*_"`)\].]*\z', 1), low, high)))[1];

-- An answer in sections headed by a number: "#### Answer 2", "**Text 2:**", "[2]"; where `loosely`, "2." and "2)" too.
-- A list of `count` texts; a section that is not there is NULL.
CREATE OR REPLACE MACRO distil_sections(answer, names, count, loosely := false) AS
    list_transform([string_split(regexp_replace(distil_text(answer),
            '(?im)^[ \t>#*_•+-]*(?:(?:output|rating|rationale|score|feedback|evaluation)s? (?:for|of) )?(?:'
            || '(?:' || names || ')[ \t]*[#\[(]?[ \t]*(\d+)[\])]?[*_]*(?:[ \t]*[:.)–—]|[ \t]+-|[ \t]*$)'
            || '|\[(\d+)\][*_]*:?'
            || CASE WHEN loosely THEN '|(\d+)(?:[.):]|[ \t]+-)[*_]*(?:[ \t]|$)' ELSE '|(\z\b)' END
            || ')[*_]*[ \t]*', chr(30) || '\1\2\3' || chr(31), 'g'), chr(30))],
        lambda distil_parts: list_transform(range(1, CAST(count AS BIGINT) + 1), lambda distil_i:
            regexp_extract(list_filter(distil_parts, lambda distil_part: starts_with(distil_part, distil_i || chr(31)))[1],
                '(?s)\x1f\s*(.*?)\s*\z', 1)))[1];

-- The same, also where nothing is numbered but every section begins with one of the labels: then there must be `count`.
CREATE OR REPLACE MACRO distil_parted(answer, names, labels, count) AS
    list_transform([distil_sections(answer, names, count)], lambda distil_found: CASE
        WHEN list_count(distil_found) > 0 THEN distil_found
        WHEN count = 1 THEN [distil_text(answer)]
        WHEN len(regexp_extract_all(distil_text(answer), '(?im)' || distil_label(labels))) = count
        THEN string_split(regexp_replace(distil_text(answer),
            '(?im)(' || distil_label(labels) || ')', chr(30) || '\1', 'g'), chr(30))[2:]
        ELSE distil_found END)[1];

-- One rating and its rationale for each of `count` texts, in the order in which the model was shown them.
CREATE OR REPLACE MACRO distil_ratings(answer, names, count, low, high) AS
    list_transform([distil_text(answer)], lambda distil_answer: CASE
        WHEN regexp_matches(distil_answer, '^(?:[^\n{]*\n)*?\s*[\[{]\s*["{\[]')
        THEN list_transform([distil_objects(distil_answer)], lambda distil_all: list_transform(
            range(1, CAST(count AS BIGINT) + 1), lambda distil_i: CASE
                WHEN len(distil_all) = count OR (len(distil_all) < count AND distil_json(distil_answer) IS NULL)
                THEN {'rating': distil_on_scale(coalesce(distil_all[distil_i] ->> '$.rating',
                        distil_all[distil_i] ->> '$.Rating', distil_all[distil_i] ->> '$.score'), low, high),
                    'rationale': distil_filled(coalesce(distil_all[distil_i] ->> '$.rationale',
                        distil_all[distil_i] ->> '$.Rationale', distil_all[distil_i] ->> '$.reason',
                        distil_all[distil_i] ->> '$.explanation'))} END))[1]
        ELSE list_transform(distil_parted(distil_answer, names, 'ratings?|scores?', count), lambda distil_part: {
            'rating': distil_rating(distil_part, 'ratings?|scores?', low, high),
            'rationale': coalesce(
                distil_after(distil_part, 'rationale|reason(?:ing)?|explanation|justification', ends := 'ratings?|scores?'),
                distil_filled(regexp_extract(distil_part, '(?ims)' || distil_label('ratings?|scores?') || '[^\n]*\n(.*)', 1)))})
        END)[1];

-- One score for each of `count` texts: "[1] Score: 3", "2. 4/5", a JSON list, one number a line, or one line of numbers.
CREATE OR REPLACE MACRO distil_scores(answer, names, count, low, high) AS
    list_transform([{'said': distil_text(answer), 'json': distil_json(answer),
            'parts': distil_sections(answer, names, count, loosely := true)}],
        lambda distil_read: CASE
            WHEN distil_read.json IS NOT NULL AND NOT regexp_matches(distil_read.said, '^\[\d+\] ') THEN list_transform(
                [CASE WHEN json_type(distil_read.json) = 'OBJECT' THEN list_filter(json_extract(distil_read.json, '$.*'),
                    lambda distil_it: json_type(distil_it) = 'ARRAY')[1] ELSE distil_read.json END],
                lambda distil_list: CASE WHEN json_array_length(distil_list) = count THEN list_transform(
                    CAST(distil_list AS JSON[]), lambda distil_it: distil_on_scale(coalesce(
                        distil_it ->> '$.score', distil_it ->> '$.rating', distil_it ->> '$'), low, high)) END)[1]
            WHEN list_count(distil_read.parts) > 0 THEN list_transform(distil_read.parts, lambda distil_part:
                coalesce(distil_rating(distil_part, 'score|rating|complexity|quality', low, high),
                    distil_on_scale(regexp_extract(distil_part, '\A[^\n\d]{0,20}-?\d[^\n]*'), low, high)))
            ELSE list_transform([list_filter([
                    regexp_extract_all(distil_read.said,
                        '(?im)^[ \t>#*_•+-]*(?:score|rating)?[*_]*[ \t:=]*[*_]*[ \t]*(\d+(?:\.\d+)?(?:[ \t]*/[ \t]*\d+)?)[*_ \t]*(?:$|\()', 1),
                    regexp_split_to_array(regexp_extract(distil_read.said,
                        '(?im)^[ \t>#*_•+-]*(?:(?:scores?|ratings?)[*_]*[ \t]*[:=])?[*_ \t]*((?:\d+(?:\.\d+)?(?:/\d+)?(?:[ \t]*[,;|][ \t]*|[ \t]+))*\d+(?:\.\d+)?(?:/\d+)?)[*_ \t.]*$', 1),
                        '[ \t]*[,;|][ \t]*|[ \t]+')
                ], lambda distil_list: len(distil_list) = count)[1]],
                lambda distil_list: list_transform(distil_list, lambda distil_it: distil_on_scale(distil_it, low, high)))[1]
            END)[1];

-- A text without the quotes, backticks or bold marks that stand around all of it.
CREATE OR REPLACE MACRO distil_bare(said) AS
    distil_filled(regexp_replace(regexp_replace(regexp_replace(said,
        '(?s)\A\s*\*\*([^*]*)\*\*\s*\z', '\1'),
        '(?s)\A\s*(?:"([^"]*)"|“([^”]*)”)\s*\z', '\1\2'),
        '(?s)\A\s*`([^`\n]*)`\s*\z', '\1'));

-- A list that a model wrote: numbered, bulleted, a JSON list of texts (also cut short), or one item a line.
CREATE OR REPLACE MACRO distil_items(answer) AS
    list_transform([distil_text(answer)], lambda distil_answer: list_transform([CASE
            WHEN regexp_matches(distil_answer, '(?m)^\s*(?:\{\s*"[^"]*"\s*:\s*)?\[\s*"')
            THEN list_transform(
                regexp_extract_all(regexp_extract(distil_answer, '(?s)\[\s*".*'), '[\[,]\s*("(?:[^"\\]|\\.)*")', 1),
                lambda distil_it: TRY_CAST(distil_it AS JSON) ->> '$')
            WHEN regexp_matches(distil_answer, '(?im)^[ \t>#*_]*(?:[a-z]+ )?\d+[.):]')
            THEN regexp_split_to_array(distil_answer, '(?im)^[ \t>#*_]*(?:[a-z]+ )?\d+[.):][*_]*')[2:]
            WHEN regexp_matches(distil_answer, '(?m)^[ \t]*[-*•+][ \t]')
            THEN regexp_split_to_array(distil_answer, '(?m)^[ \t]*[-*•+][ \t]')[2:]
            ELSE list_filter(string_split(distil_answer, chr(10)), lambda distil_it: NOT ends_with(trim(distil_it), ':'))
            END],
        lambda distil_raw: list_filter(
            list_transform(distil_raw, lambda distil_it: distil_bare(regexp_extract(distil_it, '(?s)\A\s*(.*?)\s*(?:\n\s*\n|\z)', 1))),
            lambda distil_it: distil_it IS NOT NULL))[1])[1];

-- One text that a model was asked to write, without the label, the opening courtesy, the fence or the quotes around it.
CREATE OR REPLACE MACRO distil_written(answer, names) AS
    list_transform([distil_text(answer)], lambda distil_answer: list_transform([coalesce(
            distil_after(distil_answer, names),
            distil_filled(regexp_extract(distil_answer,
                '(?is)\A(?:sure|certainly|of course|okay|ok|absolutely|great|here)\b[^\n]*:[*_ \t]*\n(.*)', 1)),
            distil_filled(distil_answer))],
        lambda distil_said: distil_bare(coalesce(
            nullif(regexp_extract(distil_said, '(?s)\A```\w*[ \t]*\n(.*?)\n?```\s*\z', 1), ''), distil_said)))[1])[1];

-- The seeded order in which a list is shown where `shuffle` is true: the first shown is the list's distil_shown(…)[1]-th.
-- The prompt's {{ list | shuffled(seed) }} shows that order.
CREATE OR REPLACE MACRO distil_shown(items, seed) AS
    list_grade_up(list_transform(items,
        lambda distil_it, distil_i: md5(seed || ':' || distil_i || ':' || coalesce(CAST(distil_it AS VARCHAR), ''))));

-- The labels of a list, which are in the order shown, in the list's own order: as many as it has items, NULL where an
-- item is NULL or got no label. NULL where none got one.
CREATE OR REPLACE MACRO distil_placed(labels, items, shuffle, seed) AS
    list_transform([{'labels': labels, 'items': items, 'shuffle': shuffle, 'shown': distil_shown(items, seed)}],
        lambda distil_list: list_transform([list_transform(distil_list.items, lambda distil_it, distil_i: CASE
                WHEN distil_it IS NOT NULL THEN distil_list.labels[CASE WHEN distil_list.shuffle
                    THEN list_position(distil_list.shown, distil_i) ELSE distil_i END] END)],
            lambda distil_placed: CASE WHEN list_count(distil_placed) > 0 THEN distil_placed END)[1])[1];
