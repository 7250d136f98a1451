"""Statements that overlap give what they give in turn, and never ask for what is not needed."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import distil_sql
from distil_sql.errors import RunError
from distil_sql.pipeline import RunOptions, run
from distil_sql.script import Source, Sql, read_script
from distil_sql.script.rowwise import overlap_query
from tests.fake_server import FakeServer

SCRIPT = """
CREATE MODEL generator (TYPE openai, model 'm', base_url '{url}', temperature 0, concurrency 8);
CREATE MODEL labeller (TYPE openai, model 'l', base_url '{url}', temperature 0, concurrency 8);
CREATE TABLE g AS SELECT i AS id, text_generation('say ' || i) AS said FROM range(200) r(i);
CREATE TABLE l AS SELECT *, judge('say it', said) AS verdict FROM g WHERE id % 2 = 0;
"""


def _pair(first: str, second: str) -> tuple[Sql, Sql]:
    statements = read_script(Source(f"{first};\n{second};"))
    assert all(isinstance(statement, Sql) for statement in statements)
    return statements[0], statements[1]  # type: ignore[return-value]


WRITTEN = ("t", "judge")
FIRST = "CREATE TABLE g AS SELECT id, t(x) AS said FROM p"


@pytest.mark.parametrize(
    "second",
    [
        "CREATE TABLE l AS SELECT *, judge('a', said) AS v FROM g",
        "CREATE OR REPLACE TABLE l AS SELECT id, upper(said), judge('a', said) FROM g WHERE id > 3 ORDER BY id",
        "INSERT INTO l SELECT judge('a', said) FROM g",
    ],
)
def test_what_reads_row_by_row_may_start_early(second: str) -> None:
    assert overlap_query(*_pair(FIRST, second), WRITTEN) is not None


@pytest.mark.parametrize(
    "second",
    [
        "CREATE TABLE l AS SELECT judge('a', said) FROM g LIMIT 5",
        "CREATE TABLE l AS SELECT judge('a', any_value(said)) FROM g GROUP BY id",
        "CREATE TABLE l AS SELECT DISTINCT judge('a', said) FROM g",
        "CREATE TABLE l AS SELECT judge('a', said), row_number() OVER () FROM g",
        "CREATE TABLE l AS SELECT judge('a', said) FROM g, h",
        "CREATE TABLE l AS SELECT judge('a', (SELECT max(said) FROM g)) FROM g",
        "CREATE TABLE l AS SELECT judge('a', said) FROM h",
        "CREATE TABLE l AS SELECT judge('a', said) FROM g USING SAMPLE 10",
        "CREATE TABLE l AS SELECT judge('a', said) FROM g UNION ALL SELECT judge('b', said) FROM g",
        "CREATE TABLE l AS SELECT judge('a', said || random()) FROM g",
        "CREATE TABLE l AS FROM drop_duplicates(g, said)",
        "UPDATE g SET said = judge('a', said).reason",
        "this is no SQL",
    ],
)
def test_what_does_not_waits_its_turn(second: str) -> None:
    assert overlap_query(*_pair(FIRST, second), WRITTEN) is None


@pytest.mark.parametrize(
    "first",
    [
        "CREATE TABLE IF NOT EXISTS g AS SELECT id, t(x) AS said FROM p",
        "CREATE TABLE g AS SELECT id, t(x) AS said FROM p LIMIT 10",
        "INSERT INTO g SELECT id, t(x) AS said FROM p",
        "CREATE TABLE g AS SELECT id, t(x || uuid()) AS said FROM p",
        "CREATE TABLE g AS SELECT id, coalesce(t(x), 'nothing') AS said FROM p",
        "CREATE TABLE g AS SELECT id, [t(x), t(y)] AS said FROM p",
        "CREATE TABLE g AS SELECT id, t(t(x)) AS said FROM p",
        "CREATE TABLE g AS SELECT id, x AS said FROM p WHERE t(x) IS NULL",
    ],
)
def test_rows_that_may_yet_change_are_not_read_ahead(first: str) -> None:
    assert overlap_query(*_pair(first, "CREATE TABLE l AS SELECT judge('a', said) FROM g"), WRITTEN) is None


def test_the_result_and_the_calls_are_the_same_with_and_without(fake_server: FakeServer, tmp_path: Path) -> None:
    fake_server.configure(latency={"fixed_ms": 20})
    script = SCRIPT.format(url=fake_server.base_url)
    tables = []
    for overlap in (True, False):
        database = tmp_path / f"{overlap}.duckdb"
        fake_server.reset()
        state = run(script, database, RunOptions(overlap=overlap))
        assert fake_server.stats()["requests"] == 300
        assert [(line.tally.total, line.tally.done, line.tally.hits) for line in state.lines[2:]] == [
            (200, 200, 0),
            (100, 100, 0),
        ]
        with duckdb.connect(str(database)) as con:
            tables.append(con.execute("SELECT id, said, verdict FROM l ORDER BY id").fetchall())
    assert tables[0] == tables[1]


def test_the_next_statements_calls_start_before_this_one_ends(fake_server: FakeServer, tmp_path: Path) -> None:
    fake_server.configure(latency={"fixed_ms": 50})
    early: list[int] = []

    def watch(state: distil_sql.status.RunState) -> None:  # type: ignore[name-defined]
        if state.lines[2].state == "running":
            early.append(state.lines[3].tally.total)

    run(SCRIPT.format(url=fake_server.base_url), tmp_path / "x.duckdb", on_progress=watch)
    assert max(early) > 0


def test_rows_that_wait_for_their_answer_are_not_read_ahead(fake_server: FakeServer, tmp_path: Path) -> None:
    """They are NULL so far: neither is a second try for NULLs due, nor a prompt that does without."""
    fake_server.configure(latency={"fixed_ms": 20})
    models = SCRIPT.format(url=fake_server.base_url).split("CREATE TABLE")[0]
    script = f"""{models}
CREATE TABLE g AS SELECT id, unnest(text_generation_n('say ' || id, n := 1)) AS said FROM range(200) r(id);
CREATE TABLE again AS SELECT judge('say it', 'nothing', criteria := said) AS v, said FROM g WHERE id < 100;
CREATE TABLE h AS SELECT id, text_generation('tell ' || id) AS told FROM range(200) r(id);
CREATE TABLE retried AS SELECT text_generation('retell ' || id) AS told FROM h WHERE told IS NULL;
"""
    run(script, tmp_path / "x.duckdb")
    assert fake_server.stats()["requests"] == 500


def test_a_call_made_ahead_that_stops_the_run_is_told_of_its_own_statement(
    fake_server: FakeServer, tmp_path: Path
) -> None:
    fake_server.configure(latency={"fixed_ms": 20}, faults=[{"kind": "400", "ratio": 1.0, "match": '"model": ?"l"'}])
    database = tmp_path / "x.duckdb"
    script = SCRIPT.format(url=fake_server.base_url)
    with pytest.raises(RunError, match=r"task 'judge' failed") as stopped:
        run(script, database, RunOptions(on_error="fail"))
    place = next(number for number, line in enumerate(script.splitlines(), start=1) if "CREATE TABLE l" in line)
    assert f":{place}:" in str(stopped.value)
    with duckdb.connect(str(database)) as con:
        states = dict(con.execute("SELECT target, state FROM distil.status WHERE target IN ('g', 'l')").fetchall())
    assert states == {"g": "interrupted", "l": "failed"}
