-- Reading what models write. The tasks under sql/tasks/ are read with these, and a task of your own may be:
--
--   PARSE $$distil_rating(response, 'rating|score', 1, 5)$$
--   PARSE $$distil_items(response)$$
--
-- Each gives NULL, never an error, for a text that does not say what is looked for. `names` are alternatives of a regular
-- expression (RE2), case apart. Written without variables (list_transform([value], lambda name: …)[1]) where it can be
-- helped: DuckDB binds a lambda's body twice, so that they cost twice as much with every level.

-- The answer with Unix line ends, without a reasoning model's thoughts, and without white space around it.
CREATE OR REPLACE MACRO distil_text(answer) AS
    regexp_replace(regexp_replace(answer, '\r\n?', chr(10), 'g'), '(?is)\A\s*(?:<think>.*?(?:</think>\s*|\z))?|\s+\z', '', 'g');

-- A text without white space around it, or NULL where it is empty.
CREATE OR REPLACE MACRO distil_filled(said) AS nullif(regexp_replace(said, '\A\s+|\s+\z', '', 'g'), '');

-- The JSON object or list in an answer: all of it, a fenced block, or what lies between the outermost brackets.
CREATE OR REPLACE MACRO distil_json(answer) AS
    list_filter([
            distil_text(answer),
            regexp_extract(answer, '(?s)```\w*\s*(.*?)```', 1),
            regexp_extract(distil_text(answer), '(?s)[\[{].*[\]}]'),
            regexp_extract(distil_text(answer), '(?s)\{.*\}'),
            regexp_extract(distil_text(answer), '(?s)\[.*\]')
        ], lambda distil_it: regexp_matches(distil_it, '\A\s*[\[{]') AND json_valid(distil_it))[1];

-- The complete flat objects of a JSON list that may have been cut short: no nesting, in their order.
CREATE OR REPLACE MACRO distil_objects(answer) AS
    list_filter(regexp_extract_all(answer, '\{[^{}]*\}'), lambda distil_it: json_valid(distil_it));

-- A number on a scale. "4.5/5", "4 (good)" and "4 out of 5" are numbers from 1 to 5; "3/10", "9" and "4-5" are not.
CREATE OR REPLACE MACRO distil_on_scale(said, low, high) AS
    list_filter([TRY_CAST(replace(regexp_extract(
            regexp_replace(regexp_replace(said,
                '(?i)(?:on )?(?:a |the )?scale (?:of|from) \d+ ?(?:to|-|–) ?\d+|[\[(]\d+ ?(?:to|-|–) ?\d+[\])]', '', 'g'),
                '(?i)(\d[*_]*)\s*(?:/|out of)[*_\s]*' || high || '(?:\.0)?\b', '\1'),
            '(?i)\A[^\d-]*(?:-+[^\d-]+)?(-?\d+(?:[.,]\d+)?)[*_"]*(?:\s*\z|\s+(?:[^/\so]|o(?:[^u]|\z))|[^\d\s/*_.,–"-]|[.,–-](?:\D|\z))', 1),
            ',', '.') AS DOUBLE)],
        lambda distil_it: distil_it BETWEEN low AND high)[1];

-- The pattern of a label at the start of a line, as people and models write one: "Score:", "**Score:**", "## Score",
-- "- Score (1-5) - ", "2. Score =". Begin a pattern with '(?ims)' before it.
CREATE OR REPLACE MACRO distil_label(names) AS
    '^[ \t>#*_•+-]*(?:\d+[.)][ \t]*)?["*_`]*(?:' || names
    || ')["*_`#]*[ \t]*(?:[(\[][^)\]\n]*[)\]])?["*_`]*[ \t]*(?:[:=–—]+|-+[ \t]|$)[*_]*[ \t]*';

-- The text after the first label of these names, up to a label of the names in `ends`, or to the end.
CREATE OR REPLACE MACRO distil_after(said, names, ends := '\z\b') AS
    distil_filled(regexp_extract(said,
        '(?ims)' || distil_label(names) || '(.*?)(?:' || distil_label(ends) || '|\z)', 1));

-- The text before the first label of these names.
CREATE OR REPLACE MACRO distil_before(said, names) AS
    distil_filled(regexp_extract(said, '(?ims)\A(.*?)' || distil_label(names), 1));

-- The number that follows a label; else one that is said in a sentence ("a rating of 4"), else all there is ("4/5").
CREATE OR REPLACE MACRO distil_rating(answer, names, low, high) AS
    coalesce(
        distil_on_scale(regexp_extract(distil_text(answer), '(?im)' || distil_label(names) || '\s*([^\n]*)', 1), low, high),
        distil_on_scale(regexp_extract(distil_text(answer),
            '(?i)\b(?:' || names || ')["*_`]*(?: of| is| would be|:| =)+["*_` \t]*(-?\d[^\n]*)', 1), low, high),
        distil_on_scale(regexp_extract(distil_text(answer),
            '\A[\s*_"`(\[]*(-?\d+(?:[.,]\d+)?(?:\s*(?:/|out of)\s*\d+)?)[\s*_"`)\].]*\z', 1), low, high));

-- The pattern of a section's heading with its number: "#### Answer 2", "**Text 2:**", "[2]"; where `loosely`, "2." too.
CREATE OR REPLACE MACRO distil_heading(names, loosely) AS
    '(?im)^[ \t>#*_•+-]*(?:(?:output|rating|rationale|score|feedback|evaluation)s? (?:for|of) )?(?:'
    || '(?:' || names || ')[ \t]*[#\[(]?[ \t]*(\d+)[\])]?[*_]*(?:[ \t]*[:.)–—]|[ \t]+-|[ \t]*$)'
    || '|\[(\d+)\][*_]*:?'
    || CASE WHEN loosely THEN '|(\d+)(?:[.):]|[ \t]+-)[*_]*(?:[ \t]|$)' ELSE '|(\z\b)' END
    || ')[*_]*[ \t]*';

-- An answer in numbered sections as a list of `count` texts; a section that is not there, or empty, is NULL.
CREATE OR REPLACE MACRO distil_sections(answer, names, count, loosely := false) AS
    list_transform(list_resize([]::VARCHAR[], CAST(count AS BIGINT), regexp_replace(distil_text(answer),
            distil_heading(names, loosely), chr(30) || '\1\2\3' || chr(31), 'g')),
        lambda distil_said, distil_i: distil_filled(split_part(
            split_part(distil_said, chr(30) || distil_i || chr(31), 2), chr(30), 1)));

-- The same, also where nothing is numbered but every section begins with one of the labels: then there must be `count`.
CREATE OR REPLACE MACRO distil_parted(answer, names, labels, count) AS
    CASE
        WHEN regexp_matches(distil_text(answer), distil_heading(names, false)) THEN distil_sections(answer, names, count)
        WHEN count = 1 THEN [distil_text(answer)]
        WHEN len(regexp_extract_all(distil_text(answer), '(?im)' || distil_label(labels))) = count
        THEN string_split(regexp_replace(distil_text(answer),
            '(?im)(' || distil_label(labels) || ')', chr(30) || '\1', 'g'), chr(30))[2:]
    END;

-- One rating and its rationale for each of `count` texts, in the order in which the model was shown them.
CREATE OR REPLACE MACRO distil_ratings(answer, names, count, low, high) AS
    list_transform(CASE
        WHEN regexp_matches(distil_text(answer), '\A(?:[^\n{]*\n)*?\s*[\[{]\s*["{\[]')
        THEN list_transform(list_resize([]::VARCHAR[][], CAST(count AS BIGINT), distil_objects(answer)),
            lambda distil_all, distil_i: CASE
                WHEN len(distil_all) = count  -- a list cut short is its beginning; one that is closed has left some out
                    OR (len(distil_all) < count AND NOT regexp_matches(answer, '\]\s*\}?\s*(?:```)?\s*\z'))
                THEN {'rating': distil_on_scale(coalesce(distil_all[distil_i] ->> '$.rating',
                        distil_all[distil_i] ->> '$.Rating', distil_all[distil_i] ->> '$.score'), low, high),
                    'rationale': distil_filled(coalesce(distil_all[distil_i] ->> '$.rationale',
                        distil_all[distil_i] ->> '$.Rationale', distil_all[distil_i] ->> '$.reason',
                        distil_all[distil_i] ->> '$.explanation'))} END)
        ELSE list_transform(distil_parted(answer, names, 'ratings?|scores?', count), lambda distil_part: {
            'rating': distil_rating(distil_part, 'ratings?|scores?', low, high),
            'rationale': coalesce(
                distil_filled(regexp_replace(  -- without the beginning of a heading at which the answer was cut
                    distil_after(distil_part, 'rationale|reason(?:ing)?|explanation|justification', ends := 'ratings?|scores?'),
                    '\n\s*(?:#+|\*\*)[ \t]*\w*[ \t]*\d*\z', '')),
                distil_filled(regexp_extract(distil_part,
                    '(?ims)' || distil_label('ratings?|scores?') || '[^\n]*\n\s*(\S+[ \t].*)', 1)))})
        END, lambda distil_it: CASE WHEN distil_it.rating IS NOT NULL THEN distil_it END);

-- One score for each of `count` texts: "[1] Score: 3", "2. 4/5", a JSON list, one number a line, or one line of numbers.
CREATE OR REPLACE MACRO distil_scores(answer, names, count, low, high) AS
    CASE
        WHEN distil_json(answer) IS NOT NULL AND NOT regexp_matches(distil_text(answer), '\A\[\d+\] ')
        THEN list_transform(list_filter([
                CAST(json_extract(distil_json(answer), '$[*]') AS JSON[]),
                CAST(json_extract(distil_json(answer), '$.*[*]') AS JSON[])
            ], lambda distil_list: len(distil_list) = count)[1],
            lambda distil_it: distil_on_scale(coalesce(distil_it ->> '$.score', distil_it ->> '$.rating', distil_it ->> '$'), low, high))
        WHEN regexp_matches(distil_text(answer), distil_heading(names, true))
        THEN list_transform(distil_sections(answer, names, count, loosely := true), lambda distil_part: coalesce(
            distil_rating(distil_part, 'score|rating|complexity|quality', low, high),
            distil_on_scale(regexp_extract(distil_part, '\A[^\n\d]{0,20}-?\d[^\n]*'), low, high)))
        ELSE list_transform(list_filter([
                regexp_extract_all(distil_text(answer),
                    '(?im)^[ \t>#*_•+-]*(?:score|rating)?[*_]*[ \t:=]*[*_]*[ \t]*(\d+(?:\.\d+)?(?:[ \t]*/[ \t]*\d+)?)[*_ \t]*(?:$|\()', 1),
                regexp_split_to_array(regexp_extract(distil_text(answer),
                    '(?im)^[ \t>#*_•+-]*(?:(?:scores?|ratings?)[*_]*[ \t]*[:=])?[*_ \t]*((?:\d+(?:\.\d+)?(?:/\d+)?(?:[ \t]*[,;|][ \t]*|[ \t]+))*\d+(?:\.\d+)?(?:/\d+)?)[*_ \t.]*$', 1),
                    '[ \t]*[,;|][ \t]*|[ \t]+')
            ], lambda distil_list: len(distil_list) = count)[1],
            lambda distil_it: distil_on_scale(distil_it, low, high))
    END;

-- A text without the quotes, backticks or bold marks that stand around all of it.
CREATE OR REPLACE MACRO distil_bare(said) AS
    distil_filled(regexp_replace(regexp_replace(regexp_replace(said,
        '(?s)\A\s*\*\*([^*]*)\*\*\s*\z', '\1'),
        '(?s)\A\s*(?:"([^"]*)"|“([^”]*)”)\s*\z', '\1\2'),
        '(?s)\A\s*`([^`\n]*)`\s*\z', '\1'));

-- A list that a model wrote: numbered, bulleted, a JSON list of texts (also cut short), or one item a line.
CREATE OR REPLACE MACRO distil_items(answer) AS
    list_filter(list_transform(CASE
            WHEN regexp_matches(distil_text(answer), '(?m)^\s*(?:\{\s*"[^"]*"\s*:\s*)?\[\s*"')
            THEN list_transform(
                regexp_extract_all(regexp_extract(distil_text(answer), '(?s)\[\s*".*'), '[\[,]\s*("(?:[^"\\]|\\.)*")', 1),
                lambda distil_it: TRY_CAST(distil_it AS JSON) ->> '$')
            WHEN regexp_matches(distil_text(answer), '(?im)^[ \t>#*_]*(?:[a-z]+ )?\d+[.):]')
            THEN regexp_split_to_array(distil_text(answer), '(?im)^[ \t>#*_]*(?:[a-z]+ )?\d+[.):][*_]*')[2:]
            WHEN regexp_matches(distil_text(answer), '(?m)^[ \t]*[-*•+][ \t]')
            THEN regexp_split_to_array(distil_text(answer), '(?m)^[ \t]*[-*•+][ \t]')[2:]
            ELSE list_filter(string_split(distil_text(answer), chr(10)), lambda distil_it: NOT ends_with(trim(distil_it), ':'))
            END,
        lambda distil_it: distil_bare(regexp_extract(distil_it, '(?s)\A\s*(.*?)\s*(?:\n\s*\n|\z)', 1))),
        lambda distil_it: distil_it IS NOT NULL);

-- One text that a model was asked to write, without the label, the opening courtesy, the fence or the quotes around it.
CREATE OR REPLACE MACRO distil_written(answer, names) AS
    distil_bare(regexp_replace(coalesce(
            distil_after(distil_text(answer), names),
            distil_filled(regexp_extract(distil_text(answer),
                '(?is)\A(?:sure|certainly|of course|okay|ok|absolutely|great|here)\b[^\n]*:[*_ \t]*\n(.*)', 1)),
            distil_filled(regexp_replace(distil_text(answer), '(?im)\A' || distil_label(names) || '\z', ''))),
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

-- What evolution gave: NULL where it is the old instruction, or speaks of the rewriting itself, or declines.
CREATE OR REPLACE MACRO distil_evolved(answer, instruction) AS
    list_filter([distil_written(answer, '(?:the )?(?:new|rewritten|created|evolved) (?:instruction|prompt)')],
        lambda distil_new: distil_new IS NOT NULL
            AND lower(regexp_replace(distil_new, '[\s[:punct:]]+', '', 'g')) <> lower(regexp_replace(instruction, '[\s[:punct:]]+', '', 'g'))
            AND NOT regexp_matches(distil_new,
                '(?i)\b(?:old|given|rewritten|new|created) (?:instruction|prompt)s?\b|\A(?:i.?m sorry|sorry|i can(?:no|.)t)'))[1];

-- [[[User]]] … [[[Assistant]]] …, or "User:" and "Assistant:".
CREATE OR REPLACE MACRO distil_exchange(answer) AS
    list_filter([{
        'instruction': coalesce(
            distil_filled(regexp_extract(distil_text(answer), '(?is)\[\[\[ ?user ?\]\]\](.*?)\[\[\[ ?assistant ?\]\]\]', 1)),
            distil_after(distil_text(answer), 'user|question', ends := 'assistant|answer')),
        'response': coalesce(
            distil_filled(regexp_extract(distil_text(answer), '(?is)\[\[\[ ?assistant ?\]\]\](.*?)(?:\[\[\[|\z)', 1)),
            distil_after(distil_text(answer), 'assistant|answer', ends := 'user|question'))}],
        lambda distil_it: distil_it.instruction IS NOT NULL AND distil_it.response IS NOT NULL)[1];

-- "Reasoning: … Corrected answer: …"; the answer is needed, the reasoning is not.
CREATE OR REPLACE MACRO distil_correction(answer) AS
    list_filter([{
        'rationale': coalesce(
            distil_after(distil_text(answer), '(?:teacher(?:''s)? )?reasoning|rationale',
                ends := '(?:corrected|revised|improved) (?:student )?(?:answer|solution|response)'),
            distil_before(distil_text(answer), '(?:corrected|revised|improved) (?:student )?(?:answer|solution|response)')),
        'revision': distil_bare(
            distil_after(distil_text(answer), '(?:corrected|revised|improved) (?:student )?(?:answer|solution|response)'))}],
        lambda distil_it: distil_it.revision IS NOT NULL)[1];

-- Two texts after "Positive:" and "Negative:", or in JSON; both are needed.
CREATE OR REPLACE MACRO distil_pair(answer) AS
    list_filter([{
        'positive': coalesce(distil_json(answer) ->> '$.positive',
            distil_bare(distil_after(distil_text(answer), 'positive', ends := 'negative'))),
        'negative': coalesce(distil_json(answer) ->> '$.negative',
            distil_bare(distil_after(distil_text(answer), 'negative', ends := 'positive')))}],
        lambda distil_it: distil_it.positive IS NOT NULL AND distil_it.negative IS NOT NULL)[1];

-- A score with its reason, which may stand before it, after it, or behind a label; or both in JSON.
CREATE OR REPLACE MACRO distil_scored(answer, low, high) AS
    list_filter([{
        'score': coalesce(
            distil_on_scale(coalesce(distil_json(answer) ->> '$.score', distil_json(answer) ->> '$.rating'), low, high),
            distil_rating(answer, '(?:overall |final )?(?:score|rating)', low, high)),
        'reason': coalesce(
            distil_filled(coalesce(distil_json(answer) ->> '$.reason', distil_json(answer) ->> '$.critique')),
            distil_after(distil_text(answer), 'reason(?:ing)?|rationale|feedback|critique|explanation',
                ends := '(?:overall |final )?(?:score|rating)'),
            distil_before(distil_text(answer), '(?:overall |final )?(?:score|rating)'),
            distil_filled(regexp_extract(distil_text(answer),
                '(?ims)' || distil_label('(?:overall |final )?(?:score|rating)') || '[^\n]*\n(.*)', 1)))}],
        lambda distil_it: distil_it.score IS NOT NULL)[1];

-- A final answer as it is compared: without the words, marks and boxes that stand around it.
CREATE OR REPLACE MACRO distil_final(said) AS
    distil_filled(regexp_replace(regexp_replace(regexp_replace(said,
        '\\boxed\{([^{}]*)\}', '\1'), '\\[()\[\]]|[$*`]', '', 'g'), '\.\s*$', ''));

-- "Step 1: … Step 2: … The answer is: …" as its steps and its answer.
CREATE OR REPLACE MACRO distil_solution(answer) AS
    list_filter([{
        'steps': list_filter(list_transform(
            regexp_split_to_array(
                regexp_extract(distil_text(answer), '(?ims)\A(.*?)(?:^[ \t>#*_•-]*(?:so |thus |therefore,? |hence )?the (?:final )?answer is\b|^#### ?|^[ \t*_]*(?:final )?answer[*_]*:|\z)', 1),
                '(?im)^[ \t>#*_•-]*(?:step[ \t]*\d+[*_]*[ \t]*(?:[:.)-]|$)|\d+[.)][ \t])[*_]*')[2:],
            lambda distil_step: distil_filled(distil_step)), lambda distil_step: distil_step IS NOT NULL),
        'answer': distil_final(coalesce(
            nullif(regexp_extract(distil_text(answer), '(?is).*\bthe (?:final )?answer is[:\s*]*([^\n]+)', 1), ''),
            nullif(regexp_extract(distil_text(answer), '(?is).*(?:\A|\n)####[ \t]*([^\n]+)', 1), ''),
            nullif(regexp_extract(distil_text(answer), '(?is).*(?:\A|\n)[ \t*_]*(?:final )?answer[*_]*:[*_ \t]*([^\n]+)', 1), ''),
            nullif(regexp_extract(distil_text(answer), '(?s).*(\\boxed\{[^{}]*\})', 1), '')))}],
        lambda distil_it: len(distil_it.steps) > 0 OR distil_it.answer IS NOT NULL)[1];

-- One mark, as a sign or a word.
CREATE OR REPLACE MACRO distil_mark(said) AS
    CASE WHEN regexp_matches(said, '(?i)\A[^\w+-]*(?:\+|(?:correct|right|good|yes|valid|true)\b)|✓|✅') THEN '+'
        WHEN regexp_matches(said, '(?i)\A[^\w+-]*(?:-|(?:incorrect|not correct|wrong|bad|no|invalid|false)\b)|✗|❌') THEN '-' END;

-- '+' or '-' for each of `count` steps; NULL where the signs cannot be told apart.
CREATE OR REPLACE MACRO distil_marks(answer, count) AS
    CASE WHEN regexp_matches(distil_text(answer), distil_heading('step', true))
        THEN list_transform(distil_sections(answer, 'step', count, loosely := true), lambda distil_part: distil_mark(distil_part))
        WHEN len(regexp_extract_all(answer, '[+-]')) = count AND NOT regexp_matches(answer, '[a-zA-Z0-9]')
        THEN regexp_extract_all(answer, '[+-]') END;

-- The pattern of a line that begins with a text, taken literally, and a colon or dash.
CREATE OR REPLACE MACRO distil_literal(said) AS distil_label(regexp_replace(said, '([^\pL\pN\s])', '\\\1', 'g')) || '[ \t]*';

-- For each of `count` answers its score from 1 to 10 and, for every area, "<area>: <1 to 4> - <reason>".
CREATE OR REPLACE MACRO distil_judged(answer, count, areas) AS
    list_transform(
        list_transform(distil_parted(answer, 'answer|text|response|output|generation', '(?:final |overall )?scores?', count),
            lambda distil_part: {
                'score': distil_on_scale(regexp_extract(distil_part,
                    '(?im)' || distil_label('(?:final |overall )?scores?') || '\s*([^\n]*)', 1), 1, 10),
                'areas': list_transform(areas, lambda distil_area: {
                    'area': distil_area,
                    'rating': distil_on_scale(regexp_extract(distil_part, '(?im)' || distil_literal(distil_area) || '([^\n]*)', 1), 1, 4),
                    'rationale': distil_filled(regexp_extract(distil_part, '(?im)' || distil_literal(distil_area)
                        || '[^\d\n]*\d(?:\.\d+)?(?:\s*(?:/|out of)\s*\d+)?[*_]*(?:[ \t]*\([^)\n]*\))?[ \t*_:.,;–—-]*([^\n]*)', 1))})}),
        lambda distil_it: CASE WHEN distil_it.score IS NOT NULL THEN distil_it END);

-- One line of `count` scores from 1 to 10, and what is said after it.
CREATE OR REPLACE MACRO distil_judgelm(answer, count) AS {
    'ratings': distil_scores(answer, 'answer|assistant|response', count, 1, 10),
    'rationale': distil_filled(regexp_extract(distil_text(answer),
        '(?is)\A(?:[^\n]*\n)*?(?:[ \t>#*_]*(?:scores?[*_]*:)?[*_ \t]*(?:(?:answer|assistant|response)[ \t]*\d+[*_]*:[*_ \t]*)?\d[\d.,;/| \t*_]*\n)+(.*)', 1))};

-- The text before [RESULT], without its label.
CREATE OR REPLACE MACRO distil_feedback(answer) AS
    coalesce(
        distil_filled(regexp_extract(distil_text(answer), '(?ims)' || distil_label('feedback')
            || '(.*?)(?:\[result\]|^[ \t*_#]*(?:result|score|winner)[*_]*:|\z)', 1)),
        distil_filled(regexp_extract(distil_text(answer), '(?ims)\A(.*?)(?:\[result\]|^[ \t*_#]*(?:result|score|winner)[*_]*:|\z)', 1)));

-- "Feedback: … [RESULT] 4"; the last result counts.
CREATE OR REPLACE MACRO distil_prometheus(answer) AS
    list_filter([{
        'score': coalesce(
            distil_on_scale(nullif(regexp_extract(distil_text(answer), '(?is).*\[result\]([^\n]*(?:\n[^\n]*)?)', 1), ''), 1, 5),
            distil_rating(answer, 'result|(?:overall |final )?score', 1, 5)),
        'feedback': distil_feedback(answer)}],
        lambda distil_it: distil_it.score IS NOT NULL)[1];

-- A verdict ('A', 'B', 'C' or 'TIE' for neither) named as the arguments are: B shown first is turned back.
CREATE OR REPLACE MACRO distil_winner(said, answers, swap, shuffle, seed) AS
    CASE said WHEN 'C' THEN 'tie' WHEN 'TIE' THEN 'tie' ELSE nullif(
        CASE WHEN (shuffle AND distil_shown(answers, seed)[1] = 2) <> swap THEN translate(said, 'AB', 'BA') ELSE said END, '') END;

-- [[A]], [[B]] or [[C]], the last of them; else "winner: A", "A is better", "tie".
CREATE OR REPLACE MACRO distil_verdict(answer) AS
    upper(coalesce(
        nullif(regexp_extract(distil_text(answer), '(?is).*\[\[\s*(?:answer |response |assistant )?(a|b|c|tie)\s*\]\]', 1), ''),
        nullif(regexp_extract(distil_text(answer),
            '(?is).*\b(?:verdict|winner|result|choice|better answer|preferred)\b(?: is|:|=)*[\s*_"(\[]*(?:answer |response |assistant )?(a|b|c|tie)\b', 1), ''),
        nullif(regexp_extract(distil_text(answer), '(?is)\A[\s*_"(\[]*(?:answer |response |assistant )?(a|b|c|tie)[\s*_")\].]*\z', 1), '')));

-- The same after [RESULT].
CREATE OR REPLACE MACRO distil_result(answer) AS
    upper(nullif(regexp_extract(distil_text(answer),
        '(?is).*(?:\[result\]|\bresult:|\bwinner:)[\s*_:(\["]*(?:answer |response )?([ab])\b', 1), ''));

-- Whether a text names a label, as a word of its own and not as part of another label.
CREATE OR REPLACE MACRO distil_names(said, label, labels) AS
    regexp_matches(
        list_reduce(list_filter(labels, lambda distil_other:
                len(distil_other) > len(label) AND contains(lower(distil_other), lower(label))),
            lambda distil_left, distil_other: replace(distil_left, lower(distil_other), ' '), lower(said)),
        '(?:^|[^\pL\pN])' || regexp_replace(lower(label), '([^\pL\pN\s])', '\\\1', 'g') || '(?:$|[^\pL\pN])');

-- The labels that an answer chooses, spelled and ordered as in `labels`; [] where it says "none", NULL where it chooses none
-- of them. What follows "Label:" is read, else the JSON, else the first line, else the whole.
CREATE OR REPLACE MACRO distil_labels(answer, labels) AS
    list_filter(list_filter(list_transform([
                regexp_extract(distil_text(answer),
                    '(?ims)' || distil_label('labels?|class(?:es)?|categor(?:y|ies)|answer') || '\s*(.*?)(?:\n\s*\n|\z)', 1),
                CAST(json_extract(distil_json(answer), '$.labels') AS VARCHAR),
                CAST(json_extract(distil_json(answer), '$.label') AS VARCHAR),
                CASE WHEN starts_with(distil_json(answer), '[') THEN distil_json(answer) END,
                regexp_extract(distil_text(answer), '\A[^\n]*'),
                distil_text(answer)],
            lambda distil_said: CASE WHEN regexp_matches(distil_said, '(?i)\A[^\pL]*(?:none|no label)\b|\A\s*\[\s*\]\s*\z') THEN ['']
                ELSE list_filter(labels, lambda distil_name: distil_names(distil_said, distil_name, labels)) END),
        lambda distil_found: len(distil_found) > 0)[1], lambda distil_name: distil_name <> '');
