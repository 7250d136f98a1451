-- Reading what models write. The tasks under sql/tasks/ are read with these, and a task of your own may be:
--
--   PARSE $$distil_rating(response, 'rating|score', 1, 5)$$
--   PARSE $$distil_items(response)$$
--
-- Each gives NULL, never an error, for a text that does not say what is looked for. `names` are alternatives of a regular
-- expression (RE2), case apart. Written without variables (list_transform([value], lambda name: …)[1]) where it can be
-- helped: DuckDB binds a lambda's body twice, so that they cost twice as much with every level. What takes an `answer` cleans
-- it, once, where it uses it often; what takes what is `said` gets it clean. No pattern is made of a row's values: it would
-- be compiled for every row, which takes milliseconds.

-- The answer with Unix line ends, without a reasoning model's thoughts (of which a server may have taken the beginning),
-- and without white space around it.
CREATE OR REPLACE MACRO distil_text(answer) AS
    regexp_replace(regexp_replace(answer, '\r\n?', chr(10), 'g'),
        '(?is)\A\s*(?:<think(?:ing)?>(?:.*?</think(?:ing)?>\s*|.*\z)|(?:[^<]|<[^/]|</[^t])*</think(?:ing)?>\s*)?|\s+\z', '', 'g');

-- The same without a fence around all of it, and with the rows of a table ("| Answer 2 | 4/5 | clear |") as sections
-- ("[2] Rating: 4/5", "Rationale: clear", and "[0]", which ends it).
CREATE OR REPLACE MACRO distil_body(answer) AS
    regexp_replace(regexp_replace(distil_text(answer), '(?s)\A```\w*[ \t]*\n(.*?)\n?```\s*\z', '\1'),
        '(?m)^\|[ \t*_#\[]*(?:\pL+[ \t]*#?)?(\d+)[\])*_.]*[ \t]*\|[ \t]*([^|\n]*?)[ \t]*\|(?:[ \t]*([^|\n]*?)[ \t]*\|)?[^\n]*$',
        '[\1] Rating: \2' || chr(10) || 'Rationale: \3' || chr(10) || '[0]', 'g');

-- A text without white space around it, or NULL where it is empty.
CREATE OR REPLACE MACRO distil_filled(said) AS nullif(regexp_replace(said, '\A\s+|\s+\z', '', 'g'), '');

-- The JSON object or list in an answer: all of it, a fenced block, or what lies between the outermost brackets.
CREATE OR REPLACE MACRO distil_json(answer) AS
    list_filter([
            distil_text(answer),
            regexp_extract(answer, '(?s)```\w*\s*(.*?)```', 1),
            regexp_extract(distil_text(answer), '(?s)[\[{].*[\]}]'),
            regexp_extract(distil_text(answer), '(?s)\{.*\}'),
            regexp_extract(distil_text(answer), '(?s)\[.*\]'),
            regexp_replace(regexp_extract(distil_text(answer), '(?s)[\[{].*[\]}]'), ',(\s*[\]}])', '\1', 'g')
        ], lambda distil_it: regexp_matches(distil_it, '\A\s*[\[{]') AND json_valid(distil_it))[1];

-- The complete flat objects of a JSON list that may have been cut short: no nesting, in their order.
CREATE OR REPLACE MACRO distil_objects(answer) AS
    list_filter(regexp_extract_all(answer, '\{[^{}]*\}'), lambda distil_it: json_valid(distil_it));

-- The number that an object of a list says it is about: {"answer": 2, …}, {"id": "Answer 2", …}.
CREATE OR REPLACE MACRO distil_own_number(object) AS
    TRY_CAST(regexp_extract(coalesce(object ->> '$.answer', object ->> '$.id', object ->> '$.index', object ->> '$.number',
        object ->> '$.response', object ->> '$.text', object ->> '$.generation', object ->> '$.instruction'), '\A\D{0,12}(\d{1,4})\z', 1) AS INTEGER);

-- The objects of a list in the order of those numbers from 1 (or, where all are there, from 0) to `count`, NULL for one that
-- is left out; as they are where they have no such numbers.
CREATE OR REPLACE MACRO distil_in_order(objects, count) AS
    list_transform([{'all': objects, 'numbers': list_transform(objects, lambda distil_it: distil_own_number(distil_it))}],
        lambda distil_list: CASE
            WHEN list_count(distil_list.numbers) = 0 OR list_unique(distil_list.numbers) <> len(distil_list.all) THEN distil_list.all
            WHEN list_min(distil_list.numbers) = 0 AND list_max(distil_list.numbers) = count - 1 AND len(distil_list.all) = count
            THEN list_transform(range(count), lambda distil_i: distil_list.all[list_position(distil_list.numbers, distil_i::INTEGER)])
            WHEN list_min(distil_list.numbers) >= 1 AND list_max(distil_list.numbers) <= count
            THEN list_transform(range(1, count + 1), lambda distil_i: distil_list.all[list_position(distil_list.numbers, distil_i::INTEGER)])
            ELSE distil_list.all END)[1];

-- A number in words at the beginning ("four", "Seven out of ten"), or in stars, where there is no digit.
CREATE OR REPLACE MACRO distil_said_number(said, high) AS
    CASE WHEN NOT regexp_matches(said, '\d') THEN coalesce(
        nullif(list_position(['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'], lower(regexp_extract(said,
            '(?i)\A[^\pL\n]*(one|two|three|four|five|six|seven|eight|nine|ten)(?:\s+out of\s+'
            || ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'][high] || ')?\s*(?:\z|[\n.,;:()*_\]>"–—]|-\s|\s(?:stars?|points?)\b)', 1))), 0),
        nullif(length(regexp_replace(regexp_extract(said, '\A[\s*_]*((?:★|⭐\x{FE0F}?)+)', 1), '\x{FE0F}', '', 'g')), 0)) END::DOUBLE;

-- A number on a scale. "4.5/5", "4 (good)" and "4 out of 5" are numbers from 1 to 5; "3/10", "9" and "4-5" are not. So are
-- "four" and "★★★★☆".
CREATE OR REPLACE MACRO distil_on_scale(said, low, high) AS
    list_filter(list_transform([said], lambda distil_number: coalesce(
            TRY_CAST(replace(regexp_extract(
                regexp_replace(regexp_replace(distil_number,
                    '(?i)(?:on )?(?:a |the )?scale (?:of|from) \d+ ?(?:to|-|–) ?\d+|[\[(]\d+ ?(?:to|-|–) ?\d+[\])]', '', 'g'),
                    '(?i)(\d[*_]*)\s*(?:/|out of)[*_\s]*' || high || '(?:\.0)?\b', '\1'),
                '(?i)\A[^\d-]*(?:-+[^\d-]+)?(-?\d+(?:[.,]\d+)?)[*_"]*(?:\s*\z|\s+(?:[^/\so]|o(?:[^u]|\z))|[^\d\s/*_.,–"-]|[.,–-](?:\D|\z))', 1),
                ',', '.') AS DOUBLE),
            distil_said_number(distil_number, high))),
        lambda distil_it: distil_it BETWEEN low AND high)[1];

-- The pattern of a label at the start of a line, as people and models write one: "Score:", "**Score:**", "## Score",
-- "- Score (1-5) - ", "2. Score =", "⭐ Score：". Begin a pattern with '(?ims)' before it.
CREATE OR REPLACE MACRO distil_label(names) AS
    '^[^\pL\pN\n(\[{<|]*(?:\d+[.)][ \t]*)?["*_`]*(?:' || names
    || ')["*_`#]*[ \t]*(?:[(\[][^)\]\n]*[)\]])?["*_`]*[ \t]*(?:[:：=–—]+|-+[ \t]|$)[*_]*[ \t]*';

-- The text after the first label of these names, up to a label of the names in `ends`, or to the end.
CREATE OR REPLACE MACRO distil_after(said, names, ends := '\z\b') AS
    distil_filled(regexp_extract(said,
        '(?ims)' || distil_label(names) || '(.*?)(?:' || distil_label(ends) || '|\z)', 1));

-- The text before the first label of these names.
CREATE OR REPLACE MACRO distil_before(said, names) AS
    distil_filled(regexp_extract(said, '(?ims)\A(.*?)' || distil_label(names), 1));

-- The number that follows a label; else one that is said in a sentence ("a rating of 4"), else all there is ("4/5").
CREATE OR REPLACE MACRO distil_rating_text(said, names) AS
    coalesce(
        nullif(regexp_extract(said, '(?im)' || distil_label(names) || '\s*([^\n]*)', 1), ''),
        nullif(regexp_extract(said, '(?i)\b(?:' || names || ')["*_`]*(?: of| is| would be|:|：| =)+["*_` \t]*(-?\d[^\n]*)', 1), ''),
        nullif(regexp_extract(said,
            '\A[\s*_"`(\[]*(-?\d+(?:[.,]\d+)?(?:\s*(?:/|out of)\s*\d+)?)[\s*_"`)\].]*\z', 1), ''));

CREATE OR REPLACE MACRO distil_rating_in(said, names, low, high) AS distil_on_scale(distil_rating_text(said, names), low, high);

CREATE OR REPLACE MACRO distil_rating(answer, names, low, high) AS
    list_transform([distil_body(answer)], lambda distil_clean: distil_rating_in(distil_clean, names, low, high))[1];

-- The pattern of a section's heading with its number: "#### Answer 2", "**Text 2:**", "[2]"; where `loosely`, "2." too.
CREATE OR REPLACE MACRO distil_heading(names, loosely) AS
    '(?im)^[^\pL\pN\n(\[{<|]*(?:(?:output|rating|rationale|score|feedback|evaluation)s? (?:for|of) )?(?:'
    || '(?:' || names || ')[ \t]*[#\[(]?[ \t]*(\d+)[\])]?[*_]*(?:[ \t]*[:：.)–—]|[ \t]+-|[^\pL\pN\n]*$)'
    || '|(?:(?:score|rating)s?[ \t]*)?\[(\d+)\][*_]*[:：]?'
    || CASE WHEN loosely THEN '|(\d+)(?:[.):：、]|[ \t]+-)[*_]*(?:[ \t]|$)' ELSE '|(\z\b)' END
    || ')[*_]*[ \t]*';

-- An answer in numbered sections as a list of `count` texts; a section that is not there, or empty, is NULL.
CREATE OR REPLACE MACRO distil_sections(said, names, count, loosely := false) AS
    list_transform(list_resize([]::VARCHAR[], CAST(count AS BIGINT), regexp_replace(said,
            distil_heading(names, loosely), chr(30) || '\1\2\3' || chr(31), 'g')),
        lambda distil_marked, distil_i: distil_filled(split_part(
            split_part(distil_marked, chr(30) || distil_i || chr(31), 2), chr(30), 1)));

-- The same, also where nothing is numbered but every section begins with one of the labels: then there must be `count`.
CREATE OR REPLACE MACRO distil_parted(said, names, labels, count) AS
    CASE
        WHEN regexp_matches(said, distil_heading(names, false)) THEN distil_sections(said, names, count)
        WHEN count = 1 THEN [said]
        WHEN len(regexp_extract_all(said, '(?im)' || distil_label(labels))) = count
        THEN string_split(regexp_replace(said,
            '(?im)(' || distil_label(labels) || ')', chr(30) || '\1', 'g'), chr(30))[2:]
    END;

-- What objects say: a list cut short is its beginning, one that is closed has left some out, and nobody knows which.
CREATE OR REPLACE MACRO distil_rated_objects(objects, count, closed) AS
    CASE WHEN len(objects) = count OR (len(objects) < count AND NOT closed)
        THEN list_transform(list_resize(objects, CAST(count AS BIGINT)), lambda distil_it: {
            'rating': coalesce(distil_it ->> '$.rating', distil_it ->> '$.Rating', distil_it ->> '$.score'),
            'rationale': coalesce(distil_it ->> '$.rationale', distil_it ->> '$.Rationale', distil_it ->> '$.reason',
                distil_it ->> '$.explanation')}) END;

-- What sections say: the text with the number, and the reason.
CREATE OR REPLACE MACRO distil_rated_parts(parts) AS
    list_transform(parts, lambda distil_part: {
        'rating': distil_rating_text(distil_part, 'ratings?|scores?'),
        'rationale': coalesce(
            distil_filled(regexp_replace(  -- without the beginning of a heading at which the answer was cut
                distil_after(distil_part, 'rationale|reason(?:ing)?|explanation|justification', ends := 'ratings?|scores?'),
                '\n\s*(?:(?:#+|\*\*)[ \t]*\w*[ \t]*\d*|(?:-{3,}|\*{3,}|_{3,})\s*\n.*)\z', '', 's')),
            distil_filled(regexp_extract(distil_part,
                '(?ims)' || distil_label('ratings?|scores?') || '[^\n]*\n\s*(\S+[ \t].*)', 1)))});

-- One rating and its rationale for each of `count` texts, in the order in which the model was shown them.
CREATE OR REPLACE MACRO distil_ratings(answer, names, count, low, high) AS
    list_transform([distil_body(answer)], lambda distil_clean: list_transform(CASE
            WHEN regexp_matches(distil_clean, '\A(?:[^\n{]*\n)*?\s*[\[{]\s*["{\[]')
            THEN distil_rated_objects(distil_in_order(distil_objects(distil_clean), count), count,
                regexp_matches(distil_clean, '\]\s*\}?\s*(?:```)?\s*\z'))
            ELSE distil_rated_parts(distil_parted(distil_clean, names, 'ratings?|scores?', count)) END,
        lambda distil_it: list_filter(
            [{'rating': distil_on_scale(distil_it.rating, low, high), 'rationale': distil_filled(distil_it.rationale)}],
            lambda distil_rated: distil_rated.rating IS NOT NULL)[1]))[1];

-- The texts that hold the scores.
CREATE OR REPLACE MACRO distil_score_texts(said, names, count) AS
    CASE
        WHEN regexp_matches(said, '[\[{]') AND NOT regexp_matches(said, '(?m)^\W*(?:(?i:score|rating) )?\[\d+\]') AND distil_json(said) IS NOT NULL
        THEN list_transform([CAST(distil_json(said) AS JSON)], lambda distil_found: list_transform(list_filter([
                distil_in_order(CAST(json_extract(distil_found, '$[*]') AS JSON[]), count),
                distil_in_order(CAST(json_extract(distil_found, '$.*[*]') AS JSON[]), count)
            ], lambda distil_list: len(distil_list) = count)[1],
            lambda distil_it: coalesce(distil_it ->> '$.score', distil_it ->> '$.rating', distil_it ->> '$')))[1]
        WHEN regexp_matches(said, distil_heading(names, true))
        THEN list_transform(distil_sections(said, names, count, loosely := true), lambda distil_part: coalesce(
            distil_rating_text(distil_part, 'score|rating|complexity|quality'),
            nullif(regexp_extract(distil_part, '\A[^\n\d]{0,20}-?\d[^\n]*'), '')))
        ELSE list_filter([
                regexp_extract_all(said,
                    '(?im)^[ \t>#*_•+-]*(?:score|rating)?[*_]*[ \t:=]*[*_]*[ \t]*(\d+(?:\.\d+)?(?:[ \t]*/[ \t]*\d+)?)[*_ \t]*(?:$|\()', 1),
                regexp_split_to_array(regexp_extract(said,
                    '(?im)^[ \t>#*_•+-]*(?:(?:scores?|ratings?)[*_]*[ \t]*[:=])?[*_ \t]*((?:\d+(?:\.\d+)?(?:/\d+)?(?:[ \t]*[,;|][ \t]*|[ \t]+))*\d+(?:\.\d+)?(?:/\d+)?)[*_ \t.]*$', 1),
                    '[ \t]*[,;|][ \t]*|[ \t]+')
            ], lambda distil_list: len(distil_list) = count)[1]
    END;

-- One score for each of `count` texts: "[1] Score: 3", "2. 4/5", JSON, one number a line, or one line of numbers.
CREATE OR REPLACE MACRO distil_scores(answer, names, count, low, high) AS
    list_transform([distil_body(answer)], lambda distil_clean: list_transform([CASE  -- objects by name and one line, as lines
            WHEN regexp_matches(distil_clean, '(?i)\A[^\[]*\{[^\[]*"(?:(?:' || names || ')[ _]*)?#?\d+"\s*:')
            THEN regexp_replace(distil_clean,
                '(?i)"(?:(?:' || names || ')[ _]*)?#?(\d+)"\s*:\s*(?:\{\s*"(?:score|rating)"\s*:)?\s*"?', chr(10) || '[\1] Score: ', 'g')
            ELSE regexp_replace(distil_clean, '(?i)(\S)[ \t]*[|;,][ \t]*((?:' || names || ')?[ \t]*\[?\d+\]?:?[ \t]*Score)',
                '\1' || chr(10) || '\2', 'g') END],
        lambda distil_lines: list_transform(distil_score_texts(distil_lines, names, count),
            lambda distil_it: distil_on_scale(distil_it, low, high)))[1])[1];

-- A text without the quotes, backticks or bold marks that stand around all of it.
CREATE OR REPLACE MACRO distil_bare(said) AS
    distil_filled(regexp_replace(regexp_replace(regexp_replace(said,
        '(?s)\A\s*\*\*([^*]*)\*\*\s*\z', '\1'),
        '(?s)\A\s*(?:"([^"]*)"|“([^”]*)”)\s*\z', '\1\2'),
        '(?s)\A\s*`([^`\n]*)`\s*\z', '\1'));

-- A list that a model wrote: numbered ("1.", "(1)", "1、", "II.", "a)"), bulleted, a table, JSON (also cut short), or one item
-- a line.
CREATE OR REPLACE MACRO distil_items(answer) AS
    list_transform([distil_body(answer)], lambda distil_clean: list_filter(list_transform(CASE
            WHEN regexp_matches(distil_clean, '(?m)^\s*(?:\{\s*"[^"]*"\s*:\s*)?\[\s*"')
            THEN list_transform(
                regexp_extract_all(regexp_extract(distil_clean, '(?s)\[\s*".*'), '[\[,]\s*("(?:[^"\\]|\\.)*")', 1),
                lambda distil_it: TRY_CAST(distil_it AS JSON) ->> '$')
            WHEN regexp_matches(distil_clean, '(?m)^\s*\[\s*\{\s*"')
            THEN list_transform(distil_objects(distil_clean), lambda distil_it: json_extract_string(distil_it, '$.*')[-1])
            WHEN regexp_matches(distil_clean, '(?m)^\[\d+\] Rating: ')
            THEN regexp_extract_all(distil_clean, '(?m)^\[\d+\] Rating: ([^\n]*)', 1)
            WHEN regexp_matches(distil_clean, '(?im)^[ \t>#*_(]*(?:[a-z]+ )?\d+(?:[.):、]|\x{FE0F}?\x{20E3})')
            THEN regexp_split_to_array(distil_clean, '(?im)^[ \t>#*_(]*(?:[a-z]+ )?\d+(?:[.):、]+|\x{FE0F}?\x{20E3})[*_]*')[2:]
            WHEN regexp_matches(distil_clean, '(?ms)^[ \t*]*(?:I|\(?[aA])[.)][ \t].*^[ \t*]*(?:II|\(?[bB])[.)][ \t]')
            THEN regexp_split_to_array(distil_clean, '(?m)^[ \t*]*(?:[IVX]+|\(?[a-zA-Z])[.)][ \t][*_]*')[2:]
            WHEN regexp_matches(distil_clean, '(?m)^[ \t]*[-–—*•+▪◦●‣]+[ \t]')
            THEN regexp_split_to_array(distil_clean, '(?m)^[ \t]*[-–—*•+▪◦●‣]+[ \t]')[2:]
            ELSE list_filter(string_split(distil_clean, chr(10)), lambda distil_it: NOT ends_with(trim(distil_it), ':'))
            END,
        lambda distil_it: distil_bare(regexp_replace(regexp_extract(distil_it, '(?s)\A\s*(.*?)\s*(?:\n\s*\n|\z)', 1),
            '\A([^*]*)\*\*\z', '\1'))),
        lambda distil_it: distil_it IS NOT NULL))[1];

-- One text that a model was asked to write, without the label, the opening courtesy, the fence, the tags or the quotes around
-- it, and without a remark about the writing at its end.
CREATE OR REPLACE MACRO distil_written(answer, names) AS
    distil_bare(regexp_replace(regexp_replace(regexp_replace(coalesce(
            distil_after(distil_text(answer), names),
            distil_filled(regexp_extract(distil_text(answer),
                '(?is)\A(?:sure|certainly|of course|okay|ok|absolutely|great|here|the (?:user|person) (?:asked|might have asked|said))\b[^\n]*:[*_ \t]*\n(.*)', 1)),
            distil_filled(regexp_replace(distil_text(answer), '(?im)\A' || distil_label(names) || '\z', ''))),
        '(?is)\n\s*(?:\n|-{3,}\s*\n|\*{3,}\s*\n)\s*[*_(\[]*(?:(?:note|explanation)s?\b[^\n]*\b(?:I|added|instruction|prompt|original|text|version|rewritten)\b'
        || '|(?:this (?:adds|makes|keeps|requires|version|instruction|prompt|rewrit\w+)|i(?: have|''ve)? (?:added|made|changed|kept|replaced)|let me know)\b)[^\n]*\z', ''),
        '(?is)\A\s*<(?:(?:new|rewritten|improved|revised|better)[_ -])?(?:instruction|prompt|answer|response|output|request)>\s*(.*?)\s*</[\w -]+>\s*\z', '\1'),
        '(?s)\A```\w*[ \t]*\n(.*?)\n?```\s*\z', '\1'));

-- The seeded order in which a list is shown where `shuffle` is true: the first shown is the list's distil_shown(…)[1]-th.
-- The prompt's {{ list | shuffled(seed) }} shows that order.
CREATE OR REPLACE MACRO distil_shown(items, seed) AS
    list_grade_up(list_transform(items,
        lambda distil_it, distil_i: md5(seed || ':' || distil_i || ':' || coalesce(CAST(distil_it AS VARCHAR), ''))));

-- The labels of a list, which are in the order shown, in the list's own order: as many as it has items, NULL where an
-- item is NULL or got no label. NULL where none got one.
CREATE OR REPLACE MACRO distil_placed(labels, items, shuffle, seed) AS
    list_filter(list_transform([labels], lambda distil_found: list_transform(items, lambda distil_it, distil_i: CASE
            WHEN distil_it IS NULL THEN NULL
            WHEN shuffle THEN distil_found[list_position(distil_shown(items, seed), distil_i)]
            ELSE distil_found[distil_i] END)),
        lambda distil_all: list_count(distil_all) > 0)[1];
