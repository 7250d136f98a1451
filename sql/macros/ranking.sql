-- Who is best, from comparisons of two: a row a comparison, the two compared and who won.
--
--   FROM win_rates(duels, model_a, model_b, verdict);
--   FROM bradley_terry(duels, model_a, model_b, verdict);
--   FROM elo(duels, model_a, model_b, verdict, k := 32);
--
-- `winner` is 'a' or 'b' (in any case; also 'A>B', 1, 'first', 'left', TRUE and so on), the name of the one that won, or
-- 'tie', which is half a win for each. Rows without a winner, and comparisons of one with itself, are left out.

CREATE OR REPLACE MACRO distil_points(a, b, winner) AS CASE
    WHEN winner IS NULL OR a IS NULL OR b IS NULL OR a::VARCHAR = b::VARCHAR THEN NULL
    WHEN winner::VARCHAR = a::VARCHAR THEN 1.0
    WHEN winner::VARCHAR = b::VARCHAR THEN 0.0
    WHEN lower(winner::VARCHAR) IN ('a', 'a>b', '1', 'first', 'left', 'true') THEN 1.0
    WHEN lower(winner::VARCHAR) IN ('b', 'b>a', '2', 'second', 'right', 'false') THEN 0.0
    WHEN lower(winner::VARCHAR) IN ('tie', 'draw', 'both', 'equal', 'a=b', 'c') THEN 0.5
    ELSE error('a winner is ''a'', ''b'', ''tie'' or one of the two names, not ''' || winner::VARCHAR || '''') END;

CREATE OR REPLACE MACRO distil_games(tbl, a, b, winner) AS TABLE
    WITH distil_rows AS (
        SELECT a::VARCHAR AS one, b::VARCHAR AS two, distil_points(a, b, winner)::DOUBLE AS points, row_number() OVER () AS place
        FROM query_table(tbl)
    )
    SELECT r.one, r.two, r.points, r.place FROM distil_rows r WHERE r.points IS NOT NULL;

-- Both sides of every comparison; the share of points won, ties being half.
CREATE OR REPLACE MACRO win_rates(tbl, a, b, winner) AS TABLE
    WITH distil_sides AS (
        SELECT g.one AS player, g.points FROM distil_games(tbl, a, b, winner) g
        UNION ALL SELECT g.two, 1 - g.points FROM distil_games(tbl, a, b, winner) g
    )
    SELECT s.player, count(*) AS games, count(*) FILTER (s.points = 1) AS wins, count(*) FILTER (s.points = 0.5) AS ties,
        count(*) FILTER (s.points = 0) AS losses, avg(s.points) AS win_rate
    FROM distil_sides s GROUP BY s.player ORDER BY win_rate DESC, s.player;

-- Bradley and Terry (1952) by Hunter's (2004) iteration. `strength` has the geometric mean 1; `rating` is the same on
-- Elo's scale, 1000 being the mean and 400 points ten to one. `prior` wins and losses against a player of strength 1
-- keep whoever never lost from being infinitely strong.
CREATE OR REPLACE MACRO bradley_terry(tbl, a, b, winner, prior := 0.1, iterations := 200) AS TABLE
    WITH RECURSIVE distil_played AS MATERIALIZED (
        SELECT g.one, g.two, g.points FROM distil_games(tbl, a, b, winner) g
    ), distil_pairs_of AS MATERIALIZED (
        SELECT s.player, s.other, count(*)::DOUBLE AS games
        FROM (SELECT p.one AS player, p.two AS other FROM distil_played p UNION ALL SELECT p.two, p.one FROM distil_played p) s
        GROUP BY s.player, s.other
    ), distil_won AS MATERIALIZED (
        SELECT s.player, sum(s.points) AS points
        FROM (SELECT p.one AS player, p.points FROM distil_played p UNION ALL SELECT p.two, 1 - p.points FROM distil_played p) s
        GROUP BY s.player
    ), distil_steps AS (
        SELECT 0 AS step, w.player, 1.0::DOUBLE AS strength FROM distil_won w
        UNION ALL
        SELECT n.step, n.player, n.strength / n.scale FROM (
            SELECT n.step, n.player, n.strength, exp(avg(ln(greatest(n.strength, 1e-12))) OVER ()) AS scale
            FROM (
                SELECT s.step + 1 AS step, s.player,
                    (any_value(w.points) + prior) / (sum(q.games / (s.strength + o.strength)) + 2 * prior / (s.strength + 1))
                        AS strength
                FROM distil_steps s JOIN distil_pairs_of q ON q.player = s.player
                JOIN distil_steps o ON o.player = q.other JOIN distil_won w ON w.player = s.player
                WHERE s.step < iterations
                GROUP BY s.step, s.player, s.strength
            ) n
        ) n
    )
    SELECT s.player, s.strength, 1000 + 400 * log10(greatest(s.strength, 1e-12)) AS rating
    FROM distil_steps s WHERE s.step = iterations ORDER BY s.strength DESC, s.player;

-- Elo (1978): ratings after the last comparison, taken in the order of the rows.
CREATE OR REPLACE MACRO elo(tbl, a, b, winner, k := 32, start := 1000) AS TABLE
    WITH distil_played AS MATERIALIZED (
        SELECT g.one, g.two, g.points, g.place FROM distil_games(tbl, a, b, winner) g
    ), distil_players AS MATERIALIZED (
        SELECT u.player, row_number() OVER (ORDER BY u.player) AS seat
        FROM (SELECT p.one AS player FROM distil_played p UNION SELECT p.two FROM distil_played p) u
    ), distil_seated AS (
        SELECT list({'i': x.seat, 'j': y.seat, 'points': p.points, 'ratings': NULL::DOUBLE[]} ORDER BY p.place) AS games
        FROM distil_played p JOIN distil_players x ON x.player = p.one JOIN distil_players y ON y.player = p.two
    ), distil_final AS (
        SELECT list_reduce(
            list_prepend({'i': 0::BIGINT, 'j': 0::BIGINT, 'points': 0.0::DOUBLE,
                'ratings': (SELECT list(start::DOUBLE) FROM distil_players)}, s.games),
            lambda held, game: {'i': game.i, 'j': game.j, 'points': game.points,
                'ratings': list_transform(held.ratings, lambda rating, seat: rating + CASE seat
                    WHEN game.i THEN k * (game.points - 1 / (1 + 10 ** ((held.ratings[game.j] - held.ratings[game.i]) / 400)))
                    WHEN game.j THEN -k * (game.points - 1 / (1 + 10 ** ((held.ratings[game.j] - held.ratings[game.i]) / 400)))
                    ELSE 0 END)}).ratings AS ratings
        FROM distil_seated s
    )
    SELECT p.player, f.ratings[p.seat] AS rating FROM distil_players p, distil_final f ORDER BY rating DESC, p.player;
