-- Reading what models write, for one task or a few under sql/tasks/: made of the macros of parsing.sql, whose rules hold here.

-- What evolution gave: NULL where it is the old instruction, or speaks of the rewriting itself, or declines.
CREATE OR REPLACE MACRO distil_evolved(answer, instruction) AS
    list_filter([distil_written(answer, '(?:the )?(?:new|rewritten|created|evolved) (?:instruction|prompt)')],
        lambda distil_new: distil_new IS NOT NULL
            AND lower(regexp_replace(distil_new, '[\s[:punct:]]+', '', 'g')) <> lower(regexp_replace(instruction, '[\s[:punct:]]+', '', 'g'))
            AND NOT regexp_matches(distil_new,
                '(?i)\b(?:old|given|rewritten|new|created) (?:instruction|prompt)s?\b|\A(?:i.?m sorry|sorry|i can(?:no|.)t)'))[1];

-- [[[User]]] … [[[Assistant]]] …, or "User:" and "Assistant:", or both in JSON.
CREATE OR REPLACE MACRO distil_exchange(answer) AS
    list_filter([{
        'instruction': coalesce(
            distil_filled(regexp_extract(distil_text(answer), '(?is)\[\[\[ ?user ?\]\]\](.*?)\[\[\[ ?assistant ?\]\]\]', 1)),
            distil_json(answer) ->> '$.instruction', distil_json(answer) ->> '$.user', distil_json(answer) ->> '$.question',
            distil_after(distil_text(answer), 'user|question|q', ends := 'assistant|answer|a')),
        'response': coalesce(
            distil_filled(regexp_extract(distil_text(answer), '(?is)\[\[\[ ?assistant ?\]\]\](.*?)(?:\[\[\[|\z)', 1)),
            distil_json(answer) ->> '$.response', distil_json(answer) ->> '$.assistant', distil_json(answer) ->> '$.answer',
            distil_after(distil_text(answer), 'assistant|answer|a', ends := 'user|question|q'))}],
        lambda distil_it: distil_it.instruction IS NOT NULL AND distil_it.response IS NOT NULL)[1];

-- "Reasoning: … Corrected answer: …", or both in JSON; the answer is needed, the reasoning is not.
CREATE OR REPLACE MACRO distil_correction(answer) AS
    list_filter([{
        'rationale': coalesce(
            distil_json(answer) ->> '$.reasoning', distil_json(answer) ->> '$.rationale',
            distil_after(distil_text(answer), '(?:teacher(?:''s)? )?reasoning|rationale',
                ends := '(?:corrected|revised|improved) (?:student )?(?:answer|solution|response)'),
            distil_before(distil_text(answer), '(?:corrected|revised|improved) (?:student )?(?:answer|solution|response)')),
        'revision': coalesce(
            distil_json(answer) ->> '$.corrected_answer', distil_json(answer) ->> '$.revision', distil_json(answer) ->> '$."corrected answer"',
            distil_bare(
                distil_after(distil_text(answer), '(?:corrected|revised|improved) (?:student )?(?:answer|solution|response)')))}],
        lambda distil_it: distil_it.revision IS NOT NULL)[1];

-- Two texts after "Positive:" and "Negative:", or in JSON; both are needed.
CREATE OR REPLACE MACRO distil_pair(answer) AS
    list_filter([{
        'positive': coalesce(distil_json(answer) ->> '$.positive',
            distil_bare(distil_after(distil_text(answer), 'positive(?: text)?', ends := '(?:hard )?negative(?: text)?'))),
        'negative': coalesce(distil_json(answer) ->> '$.negative', distil_bare(regexp_replace(
            distil_after(distil_text(answer), '(?:hard )?negative(?: text)?', ends := 'positive(?: text)?'),
            '\n\s*\n\s*\([^()]*\)\s*\z', '')))}],
        lambda distil_it: distil_it.positive IS NOT NULL AND distil_it.negative IS NOT NULL)[1];

-- A score with its reason, which may stand before it, after it, or behind a label; or both in JSON. Of several scores the
-- one in the last line counts, else the first.
CREATE OR REPLACE MACRO distil_scored(answer, low, high) AS
    list_filter(list_transform([distil_body(answer)], lambda distil_clean: {
        'score': coalesce(
            distil_on_scale(CASE WHEN contains(distil_clean, '{') THEN coalesce(
                distil_json(distil_clean) ->> '$.score', distil_json(distil_clean) ->> '$.rating') END, low, high),
            distil_on_scale(coalesce(
                nullif(regexp_extract(distil_clean, '(?im)' || distil_label('(?:overall |final )?(?:score|rating)') || '([^\n]*)\z', 1), ''),
                distil_rating_text(distil_clean, '(?:overall |final )?(?:score|rating)')), low, high)),
        'reason': distil_filled(coalesce(
            CASE WHEN contains(distil_clean, '{') THEN coalesce(
                distil_json(distil_clean) ->> '$.reason', distil_json(distil_clean) ->> '$.critique') END,
            distil_after(distil_clean, 'reason(?:ing)?|rationale|feedback|critique|explanation',
                ends := '(?:overall |final )?(?:score|rating)'),
            distil_filled(regexp_extract(distil_clean,
                '(?ims)\A(.*)' || distil_label('(?:overall |final )?(?:score|rating)') || '[^\n]*\z', 1)),
            distil_before(distil_clean, '(?:overall |final )?(?:score|rating)'),
            regexp_extract(distil_clean,
                '(?ims)' || distil_label('(?:overall |final )?(?:score|rating)') || '[^\n]*\n(.*)', 1)))}),
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
                '(?im)^[ \t>#*_•-]*(?:step[ \t]*\d+[*_]*[ \t]*(?:[:：.)-]|$)|\d+[.)][ \t])[*_]*')[2:],
            lambda distil_step: distil_filled(distil_step)), lambda distil_step: distil_step IS NOT NULL),
        'answer': distil_final(coalesce(
            nullif(regexp_extract(distil_text(answer), '(?is).*\bthe (?:final )?answer is[:：\s*]*([^\n]+)', 1), ''),
            nullif(regexp_extract(distil_text(answer), '(?is).*(?:\A|\n)####[ \t]*([^\n]+)', 1), ''),
            nullif(regexp_extract(distil_text(answer), '(?is).*(?:\A|\n)[ \t*_]*(?:final )?answer[*_]*:[*_ \t]*([^\n]+)', 1), ''),
            nullif(regexp_extract(distil_text(answer), '(?s).*(\\boxed\{[^{}]*\})', 1), '')))}],
        lambda distil_it: len(distil_it.steps) > 0 OR distil_it.answer IS NOT NULL)[1];

-- One mark, as a sign or a word, at the beginning or behind the step said again.
CREATE OR REPLACE MACRO distil_mark(said) AS
    CASE WHEN regexp_matches(said, '(?i)\A[^\w+–−-]*(?:\+|(?:correct|right|good|yes|valid|true)\b)|✓|✔|✅|👍|(?:→|->|=>|:)\s*\+\s*\z') THEN '+'
        WHEN regexp_matches(said, '(?i)\A[^\w+–−-]*(?:[–−-]|(?:incorrect|not correct|wrong|bad|no|invalid|false)\b)|✗|✘|❌|👎|(?:→|->|=>|:)\s*[–−-]\s*\z') THEN '-' END;

-- '+' or '-' for each of `count` steps; NULL where the signs cannot be told apart.
CREATE OR REPLACE MACRO distil_marks(answer, count) AS
    list_transform([distil_body(answer)], lambda distil_clean: CASE
        WHEN regexp_matches(distil_clean, distil_heading('step', true))
        THEN list_transform(distil_sections(
                regexp_replace(distil_clean, '([+–−-])[ \t]+(step[ \t]*\d+[ \t]*:)', '\1' || chr(10) || '\2', 'gi'),
                'step', count, loosely := true),
            lambda distil_part: distil_mark(regexp_replace(distil_part, '\ARating: |\n.*', '', 'g')))
        WHEN len(regexp_extract_all(distil_clean, '[+-]')) = count AND NOT regexp_matches(distil_clean, '[a-zA-Z0-9]')
        THEN regexp_extract_all(distil_clean, '[+-]') END)[1];

-- What stands behind a name at the start of a line, and its colon or dash. (A pattern made of the name would be compiled
-- for every row, which takes a millisecond.)
CREATE OR REPLACE MACRO distil_behind(said, name) AS
    list_filter(list_transform(string_split(said, chr(10)), lambda distil_line: list_transform(
            [regexp_replace(distil_line, '\A[^\pL\pN\n(\[{<|]*(?:\d+[.)][ \t]*)?["*_`]*', '')],
            lambda distil_bare: CASE WHEN starts_with(lower(distil_bare), lower(name)) THEN nullif(regexp_extract(
                substr(distil_bare, length(name) + 1),
                '\A["*_`#]*[ \t]*(?:[(\[][^)\]\n]*[)\]])?["*_`]*[ \t]*(?:[:：=–—]+|-+[ \t])[*_]*[ \t]*(.*)', 1), '') END)[1]),
        lambda distil_found: distil_found IS NOT NULL)[1];

-- For each of `count` answers its score from 1 to 10 and, for every area, "<area>: <1 to 4> - <reason>".
CREATE OR REPLACE MACRO distil_judged(answer, count, areas) AS
    list_transform([distil_body(answer)], lambda distil_clean: list_transform(list_transform(
            distil_parted(distil_clean, 'answer|text|response|output|generation', '(?:final |overall )?scores?', count),
            lambda distil_part: {
                'score': distil_on_scale(regexp_extract(distil_part,
                    '(?im)' || distil_label('(?:final |overall )?scores?') || '\s*([^\n]*)', 1), 1, 10),
                'areas': list_transform(areas, lambda distil_area: list_transform([distil_behind(distil_part, distil_area)],
                    lambda distil_found: {
                        'area': distil_area,
                        'rating': distil_on_scale(distil_found, 1, 4),
                        'rationale': distil_filled(regexp_extract(distil_found,
                            '\A(?:[^\d\n]*\d(?:\.\d+)?|(?i:one|two|three|four)\b)(?:\s*(?:/|out of)\s*\d+)?[*_]*(?:[ \t]*\([^)\n]*\))?[ \t*_:.,;–—-]*([^\n]*)', 1))})[1])}),
        lambda distil_it: CASE WHEN distil_it.score IS NOT NULL THEN distil_it END))[1];

-- The lines of an answer that hold `count` numbers and no words but "Scores:" and "Answer 1:", with their numbers.
CREATE OR REPLACE MACRO distil_score_line(line, count) AS
    CASE WHEN regexp_matches(line, '\d') AND NOT regexp_matches(line, '["{}]') AND regexp_extract_all(
            line, '(?i)(?:answer|assistant|response)[ \t]*#?(\d+)', 1) IN ([], CAST(range(1, count + 1) AS VARCHAR[]))
        THEN list_filter(list_transform([regexp_replace(line,
                '(?i)(?:answer|assistant|response)[ \t]*#?\d+[*_ \t]*[:：=-]|scores?[*_ \t]*[:：]', ' ', 'g')],
            lambda distil_bare: CASE WHEN NOT regexp_matches(distil_bare, '\pL|\d-\d')
                THEN regexp_extract_all(distil_bare, '\d+(?:\.\d+)?(?:/10\b)?') END),
            lambda distil_numbers: len(distil_numbers) = count)[1] END;

-- One line of `count` scores from 1 to 10, and what is said after it; else a score for each as distil_scores finds it.
CREATE OR REPLACE MACRO distil_judgelm(answer, count) AS
    list_transform([string_split(distil_body(answer), chr(10))], lambda distil_lines: list_transform(
        [list_filter(list_transform(distil_lines, lambda distil_line, distil_i: {
            'numbers': distil_score_line(distil_line, count), 'place': distil_i}), lambda distil_it: distil_it.numbers IS NOT NULL)[1]],
        lambda distil_found: {
            'ratings': CASE WHEN distil_found IS NULL
                THEN distil_scores(array_to_string(distil_lines, chr(10)), 'answer|assistant|response', count, 1, 10)
                ELSE list_transform(distil_found.numbers, lambda distil_it: distil_on_scale(distil_it, 1, 10)) END,
            'rationale': distil_filled(CASE WHEN distil_found IS NULL THEN regexp_extract(array_to_string(distil_lines, chr(10)),
                    '(?is)\A(?:[^\n]*\n)*?(?:(?:[^\pL\pN\n]*(?:(?:answer|assistant|response)[ \t]*\d+[*_]*[:：])?[^\pL\n]*\d[^\pL\n]*'
                    || '|\[\d+\](?: Rating:[^\n]*)?|Rationale:[^\n]*|[^\pL\pN\n]+)\n)+(.*)', 1)
                ELSE regexp_replace(array_to_string(distil_lines[distil_found.place + 1:], chr(10)), '\A\s*```\s*', '') END)})[1])[1];

-- The text before [RESULT], without its label; of several, the last.
CREATE OR REPLACE MACRO distil_feedback_in(said) AS
    distil_filled(regexp_replace(coalesce(
        nullif(regexp_extract(said, '(?ims)\A.*' || distil_label('feedback')
            || '(.*?)(?:\[result\]|^[ \t*_#]*(?:result|score|winner)[*_]*[:：]|\z)', 1), ''),
        regexp_extract(said, '(?ims)\A(.*?)(?:\[result\]|^[ \t*_#]*(?:result|score|winner)[*_]*[:：]|\z)', 1)),
        '\n\s*[*_#]+\s*\z', ''));

CREATE OR REPLACE MACRO distil_feedback(answer) AS
    list_transform([distil_body(answer)], lambda distil_clean: distil_feedback_in(distil_clean))[1];

-- "Feedback: … [RESULT] 4"; the last result counts.
CREATE OR REPLACE MACRO distil_prometheus(answer) AS
    list_filter(list_transform([distil_body(answer)], lambda distil_clean: {
        'score': distil_on_scale(coalesce(
            nullif(regexp_extract(distil_clean, '(?is).*\[result\]([^\n]*(?:\n[^\n]*)?)', 1), ''),
            distil_rating_text(distil_clean, 'result|(?:overall |final )?score')), 1, 5),
        'feedback': distil_feedback_in(distil_clean)}),
        lambda distil_it: distil_it.score IS NOT NULL)[1];

-- A verdict ('A', 'B', 'C' or 'TIE' for neither) named as the arguments are: B shown first is turned back.
CREATE OR REPLACE MACRO distil_winner(said, answers, swap, shuffle, seed) AS
    CASE said WHEN 'C' THEN 'tie' WHEN 'TIE' THEN 'tie' ELSE nullif(
        CASE WHEN (shuffle AND distil_shown(answers, seed)[1] = 2) <> swap THEN translate(said, 'AB', 'BA') ELSE said END, '') END;

-- [[A]], [[B]] or [[C]], the last of them; else "winner: A", a last "[A]" or boxed A, a letter alone, or "A is better" said
-- first or last of all.
CREATE OR REPLACE MACRO distil_verdict(answer) AS
    list_transform([distil_body(answer)], lambda distil_clean: upper(coalesce(
        nullif(regexp_extract(distil_clean, '(?is).*(?:\[\[|【【)\s*(?:answer |response |assistant )?(a|b|c|tie)\s*(?:\]\]|】】)', 1), ''),
        nullif(regexp_extract(distil_clean,
            '(?is).*\b(?:verdict|winner|result|choice|better answer|preferred)\b(?: is|:|：|=)*[\s*_"“(\[]*(?:answer |response |assistant )?(a|b|c|tie)\b', 1), ''),
        nullif(regexp_extract(distil_clean, '(?is)(?:\[|\\boxed\{(?:\\text\{)?)\s*(?:answer |response |assistant )?(a|b|c|tie)[\]}]+[\s*_.$]*\z', 1), ''),
        nullif(regexp_extract(distil_clean, '(?is)\A[\s*_"(\[]*(?:answer |response |assistant )?(a|b|c|tie)[\s*_")\].]*\z', 1), ''),
        nullif(regexp_extract(distil_clean,
            '(?is)(?:\A|\b(?:overall|therefore|thus|so|hence|in conclusion),? )[*_]*(?:answer|response|assistant) (a|b)[*_]* is (?:(?:clearly|slightly|much|somewhat|the) )?(?:better|stronger|superior)\b', 1), ''))))[1];

-- The same after [RESULT].
CREATE OR REPLACE MACRO distil_result(answer) AS
    upper(nullif(regexp_extract(distil_body(answer),
        '(?is).*(?:\[result\]|\bresult:|\bwinner:)[\s*_:：(\["“]*(?:answer |response )?([ab])\b', 1), ''));

-- Whether a text names a label, as a word of its own and not as part of another label. (Without a pattern made of the label,
-- which would be compiled for every row.)
CREATE OR REPLACE MACRO distil_names(said, label, labels) AS
    list_transform([string_split(
            list_reduce(list_filter(labels, lambda distil_other:
                    len(distil_other) > len(label) AND contains(lower(distil_other), lower(label))),
                lambda distil_left, distil_other: replace(distil_left, lower(distil_other), ' '), lower(said)),
            lower(label))],
        lambda distil_pieces: len(list_filter(range(1, len(distil_pieces)), lambda distil_i:
            NOT regexp_matches(right(distil_pieces[distil_i], 1), '[\pL\pN]')
            AND NOT regexp_matches(left(distil_pieces[distil_i + 1], 1), '[\pL\pN]'))) > 0)[1];

-- The labels that an answer chooses, spelled and ordered as in `labels`; [] where it says "none", NULL where it chooses none
-- of them. What follows "Label:" is read, else the JSON, else the first line, else the whole.
CREATE OR REPLACE MACRO distil_labels(answer, labels) AS
    list_filter(list_filter(list_transform([
                regexp_extract(distil_text(answer),
                    '(?ims)' || distil_label('labels?|class(?:es)?|categor(?:y|ies)|answer') || '\s*(.*?)(?:\n\s*\n|\z)', 1),
                CAST(json_extract(distil_json(answer), '$.labels') AS VARCHAR),
                CAST(json_extract(distil_json(answer), '$.label') AS VARCHAR),
                CASE WHEN starts_with(distil_json(answer), '[') THEN distil_json(answer) END,
                regexp_extract(distil_text(answer), '\A(?:[ \t]*(?:[^\pL\pN\s\[{"“<]+|\d+[.)])[ \t]*[^\n]*(?:\n|\z)){2,}'),
                regexp_extract(distil_text(answer), '\A[^\n]*'),
                distil_text(answer)],
            lambda distil_said: CASE WHEN regexp_matches(distil_said, '(?i)\A[^\pL]*(?:none|no label)\b|\A\s*\[\s*\]\s*\z') THEN ['']
                ELSE list_filter(labels, lambda distil_name: distil_names(regexp_replace(distil_said,  -- "sport: no"
                    '(?im)^.*(?:❌|✗|✘|[:：–-][ \t*]*(?:no|false)\b).*$', '', 'g'), distil_name, labels)) END),
        lambda distil_found: len(distil_found) > 0)[1], lambda distil_name: distil_name <> '');
