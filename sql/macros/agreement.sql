-- How far labellers agree beyond chance. Each gives one row, so that one can say (SELECT kappa FROM cohen_kappa(…)).
--
--   FROM cohen_kappa(labelled, judge_a.score, judge_b.score, weights := 'quadratic');   -- a row an item, two columns
--   FROM fleiss_kappa(votes, item, label);                                              -- a row a vote
--   FROM krippendorff_alpha(votes, item, score, level := 'ordinal');                    -- the same, gaps allowed
--
-- `tbl` is a table, view or CTE by its name, the rest are expressions over its columns. Rows with a NULL are left out.

-- Cohen (1960); weights 'linear' or 'quadratic' (Cohen, 1968) take how far apart two labels are in their sorted order.
CREATE OR REPLACE MACRO cohen_kappa(tbl, a, b, weights := 'none') AS TABLE
    WITH distil_rows AS (
        SELECT a AS one, b AS two FROM query_table(tbl)
    ), distil_pairs_of AS (
        SELECT r.one, r.two FROM distil_rows r WHERE r.one IS NOT NULL AND r.two IS NOT NULL
    ), distil_labels AS (
        SELECT u.label, row_number() OVER (ORDER BY u.label) AS place
        FROM (SELECT p.one AS label FROM distil_pairs_of p UNION SELECT p.two FROM distil_pairs_of p) u
    ), distil_placed AS (
        SELECT x.place AS one, y.place AS two
        FROM distil_pairs_of p JOIN distil_labels x ON x.label = p.one JOIN distil_labels y ON y.label = p.two
    ), distil_weighed AS (
        SELECT x.place AS one, y.place AS two, CASE weights
            WHEN 'none' THEN (x.place <> y.place)::INTEGER WHEN 'linear' THEN abs(x.place - y.place)
            WHEN 'quadratic' THEN (x.place - y.place) ** 2
            ELSE error('there are no weights ''' || weights || ''': use ''none'', ''linear'' or ''quadratic''') END AS weight
        FROM distil_labels x, distil_labels y
    ), distil_expected AS (
        SELECT sum(w.weight * o.n * t.n) / (SELECT count(*) FROM distil_placed) AS apart
        FROM distil_weighed w
        JOIN (SELECT p.one AS place, count(*)::DOUBLE AS n FROM distil_placed p GROUP BY p.one) o ON o.place = w.one
        JOIN (SELECT p.two AS place, count(*)::DOUBLE AS n FROM distil_placed p GROUP BY p.two) t ON t.place = w.two
    ), distil_observed AS (
        SELECT count(*) AS items, sum(w.weight)::DOUBLE AS apart, avg((p.one = p.two)::INTEGER) AS agreement
        FROM distil_placed p JOIN distil_weighed w ON w.one = p.one AND w.two = p.two
    )
    SELECT CASE WHEN e.apart > 0 THEN 1 - o.apart / e.apart END AS kappa, o.agreement, o.items
    FROM distil_observed o, distil_expected e;

-- Fleiss (1971), for any number of labellers, who need not be the same for each item; each item has equally many.
CREATE OR REPLACE MACRO fleiss_kappa(tbl, item, label) AS TABLE
    WITH distil_rows AS (
        SELECT item AS thing, label AS vote FROM query_table(tbl)
    ), distil_counts AS (
        SELECT r.thing, r.vote, count(*)::DOUBLE AS n FROM distil_rows r
        WHERE r.thing IS NOT NULL AND r.vote IS NOT NULL GROUP BY r.thing, r.vote
    ), distil_items AS (
        SELECT c.thing, sum(c.n) AS votes, sum(c.n * (c.n - 1)) AS agreeing FROM distil_counts c GROUP BY c.thing
    ), distil_observed AS (
        SELECT count(*) AS items, min(i.votes) AS fewest, max(i.votes) AS most,
            avg(i.agreeing / (i.votes * (i.votes - 1))) AS agreement
        FROM distil_items i
    ), distil_expected AS (
        SELECT sum(s.share ** 2) AS chance
        FROM (SELECT sum(c.n) / (SELECT sum(d.n) FROM distil_counts d) AS share FROM distil_counts c GROUP BY c.vote) s
    )
    SELECT CASE
            WHEN o.fewest <> o.most THEN
                error('fleiss_kappa needs equally many labels for every item: use krippendorff_alpha')
            WHEN o.fewest > 1 AND e.chance < 1 THEN (o.agreement - e.chance) / (1 - e.chance) END AS kappa,
        o.agreement, o.items, o.most::BIGINT AS labellers
    FROM distil_observed o, distil_expected e;

-- Krippendorff (2004), for any number of labellers and any gaps. level: 'nominal', 'ordinal', 'interval' or 'ratio'.
CREATE OR REPLACE MACRO krippendorff_alpha(tbl, item, label, level := 'nominal') AS TABLE
    WITH distil_rows AS (
        SELECT item AS thing, label AS vote FROM query_table(tbl)
    ), distil_counts AS (
        SELECT r.thing, r.vote, count(*)::DOUBLE AS n, sum(count(*)) OVER (PARTITION BY r.thing)::DOUBLE AS votes
        FROM distil_rows r WHERE r.thing IS NOT NULL AND r.vote IS NOT NULL
        GROUP BY r.thing, r.vote QUALIFY votes > 1
    ), distil_totals AS (
        SELECT c.vote, sum(c.n) AS n FROM distil_counts c GROUP BY c.vote
    ), distil_placed AS (  -- ranks as ordinal data has them: the middle of a value's stretch
        SELECT t.vote, t.n, sum(t.n) OVER (ORDER BY t.vote) - t.n / 2 AS rank,
            CASE WHEN level IN ('interval', 'ratio') THEN TRY_CAST(t.vote::VARCHAR AS DOUBLE) END AS amount
        FROM distil_totals t
    ), distil_apart AS (
        SELECT x.vote AS one, y.vote AS two, x.n AS n_one, y.n AS n_two, CASE level
            WHEN 'nominal' THEN 1.0 WHEN 'ordinal' THEN (x.rank - y.rank) ** 2
            WHEN 'interval' THEN (x.amount - y.amount) ** 2
            WHEN 'ratio' THEN coalesce(((x.amount - y.amount) / nullif(x.amount + y.amount, 0)) ** 2, 0)
            ELSE error('there is no level ''' || level || ''': use ''nominal'', ''ordinal'', ''interval'' or ''ratio''') END AS distance
        FROM distil_placed x JOIN distil_placed y ON x.vote <> y.vote
    ), distil_observed AS (
        SELECT sum(a.n * b.n / (a.votes - 1) * d.distance) AS apart
        FROM distil_counts a JOIN distil_counts b ON a.thing = b.thing AND a.vote <> b.vote
        JOIN distil_apart d ON d.one = a.vote AND d.two = b.vote
    ), distil_size AS (
        SELECT sum(t.n) AS votes FROM distil_totals t
    ), distil_expected AS (
        SELECT sum(d.n_one * d.n_two * d.distance) / ((SELECT s.votes FROM distil_size s) - 1) AS apart FROM distil_apart d
    )
    SELECT CASE WHEN e.apart > 0 THEN 1 - coalesce(o.apart, 0) / e.apart END AS alpha,
        (SELECT count(DISTINCT c.thing) FROM distil_counts c) AS items, s.votes::BIGINT AS labels
    FROM distil_observed o, distil_expected e, distil_size s;
