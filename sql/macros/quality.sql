-- Length and quality filters that ask nothing of the language: counts of Unicode classes and of repetition, in the
-- manner of Gopher's rules (Rae et al., 2021) without its word lists.
--
--   SELECT text_stats(response) FROM answers;
--   SELECT * FROM answers WHERE text_problem(response, min_chars := 40) IS NULL;
--   SELECT text_problem(response), count(*) FROM answers GROUP BY ALL;

-- Shares are of all characters that are no space, from 0 to 1; `repetition` is the share of the text's ten-character
-- pieces that it has said before; `repeated_lines` the same of lines. Scripts without spaces count as few, long words.
CREATE OR REPLACE MACRO text_stats(value) AS list_transform([{
        'text': value::VARCHAR,
        'solid': regexp_replace(value::VARCHAR, '\s+', '', 'g'),
        'lines': list_filter(list_transform(string_split(value::VARCHAR, chr(10)), lambda line: trim(line)), lambda line: line <> ''),
        'pieces': list_transform(range(1, greatest(length(value::VARCHAR) - 8, 2)), lambda i: hash(substring(value::VARCHAR, i, 10)))
    }], lambda t: {
        'chars': length(t.text),
        'words': len(regexp_extract_all(t.text, '\S+')),
        'lines': len(t.lines),
        'letters': length(regexp_replace(t.solid, '[^\p{L}\p{M}]+', '', 'g')) / greatest(length(t.solid), 1)::DOUBLE,
        'digits': length(regexp_replace(t.solid, '\P{N}+', '', 'g')) / greatest(length(t.solid), 1)::DOUBLE,
        'symbols': length(regexp_replace(t.solid, '[\p{L}\p{M}\p{N}]+', '', 'g')) / greatest(length(t.solid), 1)::DOUBLE,
        'longest_word': coalesce(list_max(list_transform(regexp_extract_all(t.text, '\S+'), lambda word: length(word))), 0),
        'repetition': CASE WHEN length(t.text) < 20 THEN 0.0 ELSE 1 - len(list_distinct(t.pieces)) / len(t.pieces)::DOUBLE END,
        'repeated_lines': CASE WHEN len(t.lines) = 0 THEN 0.0 ELSE 1 - len(list_distinct(t.lines)) / len(t.lines)::DOUBLE END
    })[1];

-- What is wrong with a text, or NULL where nothing is. Every limit can be set; NULL turns one off.
CREATE OR REPLACE MACRO text_problem(value, min_chars := 1, max_chars := 20000, min_letters := 0.5, max_symbols := 0.4,
        max_repetition := 0.5, max_repeated_lines := 0.5) AS
    list_transform([text_stats(value)], lambda s: CASE
        WHEN value IS NULL THEN 'missing'
        WHEN s.chars < min_chars OR s.words = 0 THEN 'too short'
        WHEN s.chars > max_chars THEN 'too long'
        WHEN contains(value::VARCHAR, chr(65533)) THEN 'broken characters'
        WHEN s.letters < min_letters THEN 'few letters'
        WHEN s.symbols > max_symbols THEN 'many symbols'
        WHEN s.repetition > max_repetition THEN 'repeats itself'
        WHEN s.repeated_lines > max_repeated_lines THEN 'repeats its lines'
    END)[1];
