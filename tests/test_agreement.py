"""Agreement and rankings give what the statistics libraries give, and what the papers' own examples say."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import duckdb
import pytest

from tests.macros import with_macros

WEIGHTS = {"none": None, "linear": "linear", "quadratic": "quadratic"}
LEVELS = ("nominal", "ordinal", "interval", "ratio")

# Krippendorff's own example (Computing Krippendorff's Alpha-Reliability, 2011, C): 4 observers, 12 units, with gaps
_ = None
OBSERVERS: list[list[int | None]] = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]
ALPHAS = {"nominal": 0.743, "ordinal": 0.815, "interval": 0.849, "ratio": 0.797}


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return with_macros("agreement", "ranking")


def _votes(con: duckdb.DuckDBPyConnection, observers: Sequence[Sequence[int | None]]) -> None:
    con.execute("CREATE OR REPLACE TABLE votes (who INTEGER, item INTEGER, label INTEGER)")
    rows = [[who, item, label] for who, labels in enumerate(observers) for item, label in enumerate(labels)]
    con.executemany("INSERT INTO votes VALUES (?, ?, ?)", rows)


def _random_labels(seed: int, observers: int, items: int, gaps: float = 0.0) -> list[list[int | None]]:
    draw = random.Random(seed)
    truth = [draw.randint(1, 5) for _ in range(items)]
    return [
        [None if draw.random() < gaps else t if draw.random() < 0.6 else draw.randint(1, 5) for t in truth]
        for _ in range(observers)
    ]


def _one(con: duckdb.DuckDBPyConnection, query: str) -> float:
    ((value,),) = con.execute(query).fetchall()
    return float(value)


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_is_krippendorffs_own(level: str, con: duckdb.DuckDBPyConnection) -> None:
    _votes(con, OBSERVERS)
    alpha = _one(con, f"SELECT alpha FROM krippendorff_alpha(votes, item, label, level := '{level}')")
    assert alpha == pytest.approx(ALPHAS[level], abs=5e-4)


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_is_the_librarys(level: str, con: duckdb.DuckDBPyConnection) -> None:
    krippendorff = pytest.importorskip("krippendorff")
    for seed in range(3):
        labels = _random_labels(seed, 4, 60, gaps=0.3)
        _votes(con, labels)
        data = [[math.nan if label is None else label for label in row] for row in labels]
        expected = krippendorff.alpha(reliability_data=data, level_of_measurement=level)
        found = _one(con, f"SELECT alpha FROM krippendorff_alpha(votes, item, label, level := '{level}')")
        assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_cohens_kappa_is_the_librarys(weights: str, con: duckdb.DuckDBPyConnection) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    for seed in range(3):
        a, b = _random_labels(seed, 2, 80)
        con.execute("CREATE OR REPLACE TABLE pairs AS SELECT unnest(?) AS a, unnest(?) AS b", [a, b])
        expected = metrics.cohen_kappa_score(a, b, weights=WEIGHTS[weights])
        found = _one(con, f"SELECT kappa FROM cohen_kappa(pairs, a, b, weights := '{weights}')")
        assert found == pytest.approx(expected, abs=1e-12)


def test_cohens_kappa_by_hand(con: duckdb.DuckDBPyConnection) -> None:
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: observed 0.7, by chance 0.5
    counts = {"yy": 20, "yn": 5, "ny": 10, "nn": 15}
    con.execute("CREATE TABLE pairs AS SELECT unnest(?) AS p", [[pair for pair, n in counts.items() for _ in range(n)]])
    for weights in WEIGHTS:  # with two labels, weights change nothing
        assert _one(con, f"SELECT kappa FROM cohen_kappa(pairs, p[1], p[2], weights := '{weights}')") == pytest.approx(
            0.4
        )
    assert con.execute("SELECT agreement, items FROM cohen_kappa(pairs, p[1], p[2])").fetchone() == (0.7, 50)


def test_fleiss_kappa_is_the_librarys(con: duckdb.DuckDBPyConnection) -> None:
    raters = pytest.importorskip("statsmodels.stats.inter_rater")
    for seed in range(3):
        labels = _random_labels(seed, 5, 40)
        _votes(con, labels)
        table, _ = raters.aggregate_raters(list(zip(*labels, strict=True)))
        found = _one(con, "SELECT kappa FROM fleiss_kappa(votes, item, label)")
        assert found == pytest.approx(raters.fleiss_kappa(table), abs=1e-12)


def test_fleiss_kappa_is_what_fleiss_example_says(con: duckdb.DuckDBPyConnection) -> None:
    # the usual worked example: 14 raters, 10 subjects, 5 categories, kappa 0.210
    table = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    con.execute("CREATE TABLE votes (item INTEGER, label INTEGER)")
    for item, row in enumerate(table):
        for label, count in enumerate(row):
            con.execute("INSERT INTO votes SELECT ?, ? FROM range(?)", [item, label, count])
    assert _one(con, "SELECT kappa FROM fleiss_kappa(votes, item, label)") == pytest.approx(0.210, abs=5e-4)


def test_fleiss_kappa_wants_equally_many_labels(con: duckdb.DuckDBPyConnection) -> None:
    _votes(con, OBSERVERS)
    with pytest.raises(duckdb.Error, match="use krippendorff_alpha"):
        con.execute("FROM fleiss_kappa(votes, item, label)").fetchall()


def test_full_agreement_on_one_label_has_no_kappa(con: duckdb.DuckDBPyConnection) -> None:
    _votes(con, [[1, 1, 1], [1, 1, 1]])
    assert con.execute("SELECT kappa FROM fleiss_kappa(votes, item, label)").fetchone() == (None,)
    assert con.execute("SELECT alpha FROM krippendorff_alpha(votes, item, label)").fetchone() == (None,)
    assert con.execute("SELECT kappa FROM cohen_kappa(votes, label, label)").fetchone() == (None,)


# -- rankings ----------------------------------------------------------------------------------------------------------


def _duels(con: duckdb.DuckDBPyConnection, strengths: dict[str, float], games: int) -> list[tuple[str, str, float]]:
    draw = random.Random(5)
    played = []
    for _ in range(games):
        a, b = draw.sample(list(strengths), 2)
        chance = strengths[a] / (strengths[a] + strengths[b])
        played.append((a, b, 0.5 if draw.random() < 0.1 else float(draw.random() < chance)))
    con.execute("CREATE TABLE duels (a VARCHAR, b VARCHAR, winner VARCHAR)")
    words = {1.0: "A", 0.0: "b", 0.5: "tie"}
    con.executemany("INSERT INTO duels VALUES (?, ?, ?)", [[a, b, words[points]] for a, b, points in played])
    return played


STRENGTHS = {"weak": 0.4, "fair": 1.0, "good": 2.0, "best": 4.0}


def test_win_rates_count_ties_as_half(con: duckdb.DuckDBPyConnection) -> None:
    games = [["x", "y", "a"], ["y", "x", "tie"], ["y", "x", "x"], ["x", "x", "a"], ["x", "y", None]]
    con.execute("CREATE TABLE duels (p VARCHAR, q VARCHAR, w VARCHAR)")
    con.executemany("INSERT INTO duels VALUES (?, ?, ?)", games)
    rows = con.execute("FROM win_rates(duels, p, q, w)").fetchall()
    assert rows == [("x", 3, 2, 1, 0, pytest.approx(2.5 / 3)), ("y", 3, 0, 1, 2, pytest.approx(0.5 / 3))]


def test_bradley_terry_is_the_most_likely_one(con: duckdb.DuckDBPyConnection) -> None:
    played = _duels(con, STRENGTHS, 600)
    found = dict(con.execute("SELECT player, strength FROM bradley_terry(duels, a, b, winner, prior := 0)").fetchall())
    assert math.prod(found.values()) == pytest.approx(1)
    for player in STRENGTHS:  # at the maximum, points won are points expected
        won = sum(p if a == player else 1 - p for a, b, p in played if player in (a, b))
        expected = sum(found[player] / (found[a] + found[b]) for a, b, p in played if player in (a, b))
        assert won == pytest.approx(expected, abs=1e-6)
    assert sorted(found, key=found.__getitem__) == list(STRENGTHS)


def test_who_never_lost_is_not_infinitely_strong(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE TABLE duels AS SELECT 'x' AS a, 'y' AS b, 'a' AS w FROM range(5)")
    (x, strength, rating), (y, *_rest) = con.execute("FROM bradley_terry(duels, a, b, w)").fetchall()
    assert (x, y) == ("x", "y")
    assert 1 < strength < 1000
    assert rating == pytest.approx(1000 + 400 * math.log10(strength))


def test_elo_is_what_a_loop_gives(con: duckdb.DuckDBPyConnection) -> None:
    played = _duels(con, STRENGTHS, 400)
    ratings = dict.fromkeys(STRENGTHS, 1000.0)
    for a, b, points in played:
        change = 16 * (points - 1 / (1 + 10 ** ((ratings[b] - ratings[a]) / 400)))
        ratings[a] += change
        ratings[b] -= change
    found = dict(con.execute("FROM elo(duels, a, b, winner, k := 16)").fetchall())
    assert found == pytest.approx(ratings)


def test_an_unknown_winner_is_named(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE TABLE duels AS SELECT 'x' AS a, 'y' AS b, 'zebra' AS w")
    with pytest.raises(duckdb.Error, match="not 'zebra'"):
        con.execute("FROM win_rates(duels, a, b, w)").fetchall()
