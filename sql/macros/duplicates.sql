-- Duplicates: exact ones (but for case and spacing), and near ones by MinHash, in any language.
--
--   FROM drop_duplicates(prompts, instruction);
--   FROM drop_near_duplicates(prompts, instruction, threshold := 0.8);
--   FROM near_duplicates(prompts, id, instruction);
--
-- Similarity is Jaccard's over the sets of five-character pieces of two texts (`size :=` another length). MinHash (Broder,
-- 1997), one permutation split into bins (Li et al., 2012) with empty bins filled from the next (Shrivastava and Li,
-- 2014), banded (Leskovec et al., ch. 3), finds the pairs worth comparing: at the default 16 bands of 4 rows, 99.98 of
-- 100 pairs at 0.8 and half of those at 0.45. Each is then compared exactly, so that nothing is called a duplicate
-- which is not. For thresholds below 0.6 say `band_rows := 2`.

-- A text as it is compared: composed characters, lower case, one space between words.
CREATE OR REPLACE MACRO distil_plain(value) AS trim(regexp_replace(lower(nfc_normalize(value::VARCHAR)), '\s+', ' ', 'g'));

-- The set of a text's pieces, as hashes; a text shorter than one piece is its own.
CREATE OR REPLACE MACRO distil_pieces(plain, size) AS
    list_distinct(list_transform(range(1, greatest(length(plain) - size + 2, 2)), lambda i: hash(substring(plain, i, size))));

CREATE OR REPLACE MACRO text_pieces(value, size := 5) AS
    list_transform([distil_plain(value)], lambda plain: distil_pieces(plain, size))[1];

CREATE OR REPLACE MACRO distil_jaccard(a, b) AS
    CASE WHEN len(a) = 0 OR len(b) = 0 THEN 0.0
        ELSE len(list_intersect(a, b)) / (len(a) + len(b) - len(list_intersect(a, b)))::DOUBLE END;

-- How much two texts share, from 0 to 1.
CREATE OR REPLACE MACRO text_similarity(a, b, size := 5) AS
    list_transform([{'a': text_pieces(a, size := size), 'b': text_pieces(b, size := size)}],
        lambda pair: distil_jaccard(pair.a, pair.b))[1];

-- The first row of each text; rows whose text is NULL are kept.
CREATE OR REPLACE MACRO drop_duplicates(tbl, value) AS TABLE
    WITH distil_rows AS (
        SELECT t AS whole, md5(distil_plain(value)) AS print, row_number() OVER () AS place FROM query_table(tbl) t
    ), distil_kept AS (
        SELECT distil_rows.whole, distil_rows.place FROM distil_rows
        QUALIFY distil_rows.print IS NULL
            OR row_number() OVER (PARTITION BY distil_rows.print ORDER BY distil_rows.place) = 1
    )
    SELECT unnest(k.whole) FROM distil_kept k ORDER BY k.place;

-- The buckets that each text falls into: two that share one are worth comparing. The table has `place` and `plain`.
CREATE OR REPLACE MACRO distil_buckets(tbl, size, bands, band_rows) AS TABLE
    WITH distil_bins AS (
        SELECT h.place, h.piece % (bands * band_rows) AS bin, min(h.piece) AS least
        FROM (
            SELECT s.place, hash(substring(s.plain, s.i, size)) AS piece
            FROM (
                SELECT q.place, q.plain, unnest(range(1, greatest(length(q.plain) - size + 2, 2))) AS i
                FROM query_table(tbl) q
            ) s
        ) h
        GROUP BY h.place, bin
    ), distil_full AS (  -- an empty bin takes the next one's value, going round
        SELECT b.place, b.bin, b.least,
            coalesce(lag(b.bin) OVER w, last_value(b.bin) OVER whole - bands * band_rows) AS before
        FROM distil_bins b
        WINDOW w AS (PARTITION BY b.place ORDER BY b.bin),
            whole AS (PARTITION BY b.place ORDER BY b.bin ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
    ), distil_signature AS (
        SELECT f.place, f.least, f.bin - f.slot AS away,
            (f.slot + bands * band_rows) % (bands * band_rows) AS slot
        FROM (SELECT f.*, unnest(range(f.before::BIGINT + 1, f.bin::BIGINT + 1)) AS slot FROM distil_full f) f
    )
    SELECT g.place, (g.slot // band_rows) AS band, bit_xor(hash(g.least, g.away, g.slot)) AS bucket
    FROM distil_signature g
    GROUP BY g.place, band;

-- Rows without those that are near duplicates of a row before them. A row is compared with the first of each of its
-- buckets and with the one before it there, so that a million copies cost no more than a million rows.
CREATE OR REPLACE MACRO drop_near_duplicates(tbl, value, threshold := 0.8, size := 5, bands := 16, band_rows := 4) AS TABLE
    WITH distil_rows AS (
        SELECT t AS whole, distil_plain(value) AS plain, row_number() OVER () AS place FROM query_table(tbl) t
    ), distil_texts AS MATERIALIZED (
        SELECT min(r.place) AS place, r.plain FROM distil_rows r WHERE r.plain IS NOT NULL GROUP BY r.plain
    ), distil_neighbours AS (
        SELECT b.place,
            unnest([first_value(b.place) OVER w, lag(b.place) OVER w]) AS other
        FROM distil_buckets(distil_texts, size, bands, band_rows) b
        WINDOW w AS (PARTITION BY b.band, b.bucket ORDER BY b.place)
    ), distil_pairs_seen AS (
        SELECT DISTINCT n.place, n.other FROM distil_neighbours n WHERE n.other < n.place
    ), distil_sets AS MATERIALIZED (
        SELECT x.place, distil_pieces(x.plain, size) AS pieces FROM distil_texts x
        WHERE x.place IN (SELECT n.place FROM distil_pairs_seen n UNION ALL SELECT n.other FROM distil_pairs_seen n)
    ), distil_near AS (
        SELECT DISTINCT n.place
        FROM distil_pairs_seen n JOIN distil_sets a ON a.place = n.place JOIN distil_sets b ON b.place = n.other
        WHERE distil_jaccard(a.pieces, b.pieces) >= threshold
    ), distil_kept AS (
        SELECT r.whole, r.place FROM distil_rows r
        WHERE r.plain IS NULL OR (r.place IN (SELECT x.place FROM distil_texts x)
            AND r.place NOT IN (SELECT d.place FROM distil_near d))
    )
    SELECT unnest(k.whole) FROM distil_kept k ORDER BY k.place;

-- Every pair of rows that are near duplicates, with their similarity: for looking, and for clustering by yourself.
CREATE OR REPLACE MACRO near_duplicates(tbl, id, value, threshold := 0.8, size := 5, bands := 16, band_rows := 4) AS TABLE
    WITH distil_texts AS MATERIALIZED (
        SELECT id AS name, distil_plain(value) AS plain, row_number() OVER () AS place
        FROM query_table(tbl) WHERE value IS NOT NULL
    ), distil_filed AS (
        SELECT b.place, b.band, b.bucket FROM distil_buckets(distil_texts, size, bands, band_rows) b
    ), distil_pairs_seen AS (
        SELECT DISTINCT a.place AS one, b.place AS other
        FROM distil_filed a JOIN distil_filed b ON a.band = b.band AND a.bucket = b.bucket AND a.place < b.place
    ), distil_sets AS MATERIALIZED (
        SELECT x.place, x.name, distil_pieces(x.plain, size) AS pieces FROM distil_texts x
        WHERE x.place IN (SELECT p.one FROM distil_pairs_seen p UNION ALL SELECT p.other FROM distil_pairs_seen p)
    ), distil_compared AS (
        SELECT a.name AS id_a, b.name AS id_b, distil_jaccard(a.pieces, b.pieces) AS similarity, p.one, p.other
        FROM distil_pairs_seen p JOIN distil_sets a ON a.place = p.one JOIN distil_sets b ON b.place = p.other
    )
    SELECT c.id_a, c.id_b, c.similarity FROM distil_compared c
    WHERE c.similarity >= threshold ORDER BY c.one, c.other;
