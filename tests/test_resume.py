"""A run that stops goes on where it was: no row lost or doubled, no finished call made again."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

import distil_sql
from distil_sql.errors import DistilError, RunError, ScriptError
from tests.command import distil, model, query, start, value
from tests.fake_server import FakeServer

CONCURRENCY = 8
KILLS = 10
JUDGE = """CREATE OR REPLACE LABELLER TASK grade(text VARCHAR) RETURNS STRUCT(score INTEGER)
PROMPT $$Grade: {{ text }}$$;
"""
STOP = "CREATE OR REPLACE TABLE late AS FROM read_csv('later.csv');\n"
"""Fails until the file is there: what stands after it is not done, what stands before it is."""


@pytest.fixture
def models(fake_server: FakeServer) -> str:
    """Generator and labeller share one window."""
    return model(fake_server, seed=7, concurrency=CONCURRENCY) + model(
        fake_server, "labeller", temperature=0, concurrency=CONCURRENCY
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(script: str) -> list[str]:
    """Run on data.duckdb; gives the states of the statements."""
    return [line.state for line in distil_sql.run(script, "data.duckdb").lines]


def stop_then_finish(script: str) -> list[str]:
    """Run until STOP stops it, then to the end; gives the states of the second run."""
    with pytest.raises(DistilError, match=r"later\.csv"):
        run(script)
    Path("later.csv").write_text("a\n1\n")
    return run(script)


# -- killed ------------------------------------------------------------------------------------------------------------


def test_a_run_killed_ten_times_loses_no_row_and_pays_for_no_finished_call_twice(
    fake_server: FakeServer, models: str, folder: Path
) -> None:
    script = folder / "pipeline.sql"
    script.write_text(
        models
        + JUDGE
        + """CREATE TABLE prompts AS SELECT i AS id, 'question ' || i AS instruction FROM range(40) t(i);
        CREATE TABLE generations AS
        SELECT id, unnest(text_generation_n(instruction, n := 2)) AS response FROM prompts;
        CREATE TABLE log (id BIGINT, response VARCHAR);
        INSERT INTO log SELECT id, text_generation('again ' || instruction) FROM prompts;
        INSERT INTO log SELECT id, 'plain' FROM prompts;
        CREATE TABLE labelled AS SELECT *, grade(response).score AS score FROM generations;
        """
    )
    assert distil("run", script, "-d", "clean.duckdb").returncode == 0
    fake_server.reset()
    fake_server.configure(latency={"fixed_ms": 40})
    dice = random.Random(20)
    for _ in range(KILLS):
        kill_after(start("run", script, "-d", "data.duckdb"), fake_server, dice.randint(1, 18), dice.uniform(0, 0.15))
    last = distil("run", script, "-d", "data.duckdb")
    assert last.returncode == 0, last.stderr
    for table in ("prompts", "generations", "log", "labelled"):
        ordered = f"SELECT * FROM {table} ORDER BY ALL"
        assert query("data.duckdb", ordered) == query("clean.duckdb", ordered), table
    stats = fake_server.stats()
    assert stats["distinct"] == 200
    # in flight at a kill, or answered in the milliseconds before it, nothing else
    assert stats["requests"] - stats["distinct"] <= KILLS * 2 * CONCURRENCY
    assert stats["answered_again"] <= KILLS * CONCURRENCY
    assert value("data.duckdb", "SELECT count(*) FROM distil.calls WHERE status = 'ok'") == 200
    assert query("data.duckdb", "SELECT DISTINCT state FROM distil.runs") == [("interrupted",), ("done",)]


def kill_after(process: subprocess.Popen[str], server: FakeServer, calls: int, seconds: float) -> None:
    """SIGKILL once it has made so many calls, and a moment after that."""
    before = server.stats()["requests"]
    with process:
        while process.poll() is None and server.stats()["requests"] < before + calls:
            time.sleep(0.005)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)


# -- stopped by an error -----------------------------------------------------------------------------------------------


def test_done_statements_of_an_unfinished_run_are_skipped(models: str, folder: Path) -> None:
    script = models + "CREATE TABLE log (i INTEGER); INSERT INTO log VALUES (1);" + STOP
    assert stop_then_finish(script) == ["skipped"] * 4 + ["done"]
    assert value("data.duckdb", "SELECT count(*) FROM log") == 1


def test_restart_begins_at_the_first_statement(folder: Path) -> None:
    script = "CREATE TABLE IF NOT EXISTS log (i INTEGER); INSERT INTO log VALUES (1);" + STOP
    with pytest.raises(DistilError):
        run(script)
    Path("later.csv").write_text("a\n1\n")
    distil_sql.run(script, "data.duckdb", restart=True)
    assert value("data.duckdb", "SELECT count(*) FROM log") == 2


def test_a_finished_script_starts_anew_and_asks_nothing_again(
    fake_server: FakeServer, models: str, folder: Path
) -> None:
    script = models + "CREATE TABLE IF NOT EXISTS log (x VARCHAR);"
    script += "INSERT INTO log SELECT text_generation('q' || i) FROM range(5) t(i);"
    assert run(script) == run(script) == ["done"] * 4
    assert query("data.duckdb", "SELECT count(*), count(DISTINCT x) FROM log") == [(10, 5)]
    assert fake_server.stats()["requests"] == 5


def test_temporary_tables_and_settings_are_there_again_after_a_stop(models: str, folder: Path) -> None:
    script = (
        models
        + "SET VARIABLE least = 3; CREATE TEMP TABLE few AS SELECT text_generation('q' || i) AS x FROM range(5) t(i);"
        + "INSERT INTO few VALUES ('more');"
        + STOP
        + "CREATE TABLE kept AS SELECT x, getvariable('least') AS least FROM few;"
    )
    assert stop_then_finish(script) == ["skipped"] * 2 + ["done"] * 5
    assert query("data.duckdb", "SELECT count(*), min(least) FROM kept") == [(6, 3)]


def test_a_finished_transaction_is_skipped_as_a_whole(fake_server: FakeServer, models: str, folder: Path) -> None:
    script = (
        models
        + "CREATE TABLE log (x VARCHAR); BEGIN; INSERT INTO log SELECT text_generation('q' || i) FROM range(3) t(i);"
        + "COMMIT;"
        + STOP
        + "INSERT INTO log VALUES ('after');"
    )
    assert stop_then_finish(script) == ["skipped"] * 6 + ["done"] * 2
    assert value("data.duckdb", "SELECT count(*) FROM log") == 4
    assert fake_server.stats()["requests"] == 3


def test_a_transaction_that_fails_leaves_nothing_and_is_done_again(
    fake_server: FakeServer, models: str, folder: Path
) -> None:
    script = (
        models
        + "CREATE TABLE log (x VARCHAR); BEGIN; INSERT INTO log SELECT text_generation('q' || i) FROM range(3) t(i);"
        + STOP
        + "COMMIT;"
    )
    with pytest.raises(DistilError, match=r"later\.csv"):
        run(script)
    assert value("data.duckdb", "SELECT count(*) FROM log") == 0
    assert query("data.duckdb", "SELECT state FROM distil.runs") == [("failed",)]
    Path("later.csv").write_text("a\n1\n")
    assert run(script) == ["skipped"] * 3 + ["done"] * 4
    assert value("data.duckdb", "SELECT count(*) FROM log") == 3
    assert fake_server.stats()["requests"] == 3


def test_a_transaction_that_was_rolled_back_is_not_done_again(folder: Path) -> None:
    script = "CREATE TABLE log (i INTEGER); BEGIN; INSERT INTO log VALUES (1); ROLLBACK;" + STOP
    assert stop_then_finish(script + "INSERT INTO log VALUES (2);") == ["skipped"] * 4 + ["done"] * 2
    assert query("data.duckdb", "FROM log") == [(2,)]


def test_a_transaction_that_never_ends_is_an_error_not_a_loss(folder: Path) -> None:
    with pytest.raises(ScriptError, match=r"2:1: this transaction is never ended: add COMMIT"):
        run("CREATE TABLE log (i INTEGER);\nBEGIN;\nINSERT INTO log VALUES (1);")
    assert query("data.duckdb", "SELECT state FROM distil.runs") == [("failed",)]


# -- other statements --------------------------------------------------------------------------------------------------


def test_an_edited_script_starts_anew_and_asks_only_for_what_changed(
    fake_server: FakeServer, models: str, folder: Path
) -> None:
    script = models + "CREATE OR REPLACE TABLE t AS SELECT text_generation('q' || i) AS x FROM range(5) t(i);"
    with pytest.raises(DistilError):
        run(script + STOP)
    assert run(script.replace("range(5)", "range(7)")) == ["done"] * 3
    assert fake_server.stats()["requests"] == 7
    assert value("data.duckdb", "SELECT count(x) FROM t") == 7


def test_another_attached_database_can_be_written(fake_server: FakeServer, models: str, folder: Path) -> None:
    script = (
        models
        + "ATTACH 'other.duckdb' AS other;"
        + "CREATE TABLE other.t AS SELECT text_generation('q' || i) AS x FROM range(5) t(i);"
        + STOP
        + "INSERT INTO other.t SELECT text_generation('r' || i) FROM range(5) t(i);"
    )
    assert stop_then_finish(script) == ["skipped", "skipped", "done", "skipped", "done", "done"]
    assert value("other.duckdb", "SELECT count(x) FROM t") == 10
    assert fake_server.stats()["requests"] == 10


def test_an_update_with_a_task_asks_each_row_once(fake_server: FakeServer, models: str, folder: Path) -> None:
    run(
        models
        + "CREATE TABLE t AS SELECT i, NULL::VARCHAR AS x FROM range(9) t(i);"
        + "UPDATE t SET x = text_generation('q' || i) WHERE i < 5;"
    )
    assert query("data.duckdb", "SELECT count(x), count(*) FROM t") == [(5, 9)]
    assert fake_server.stats()["requests"] == 5


def test_a_copy_writes_the_answers_to_its_file(fake_server: FakeServer, models: str, folder: Path) -> None:
    run(models + "COPY (SELECT i, text_generation('q' || i) AS x FROM range(5) t(i)) TO 'out.csv';")
    assert (folder / "out.csv").read_text().count("echo: q") == 5
    assert fake_server.stats()["requests"] == 5


@pytest.mark.parametrize(
    "insert",
    [
        "INSERT INTO t SELECT CASE WHEN i = 4000 THEN error('no') ELSE i::VARCHAR END FROM range(9000) t(i)",
        "INSERT INTO t SELECT CASE WHEN length(text_generation('q' || i)) > 0 THEN error('no') END FROM range(9) t(i)",
    ],
)
def test_a_statement_that_fails_half_way_leaves_nothing(models: str, folder: Path, insert: str) -> None:
    with pytest.raises((RunError, ScriptError), match="no"):
        run(models + "CREATE TABLE t (x VARCHAR); INSERT INTO t VALUES ('first');" + insert)
    assert query("data.duckdb", "FROM t") == [("first",)]
    assert query("data.duckdb", "SELECT state, finished_at IS NOT NULL FROM distil.runs") == [("failed", True)]


@pytest.mark.parametrize("rows", [20_000, 150_000])  # one thread reads the first, several the second
def test_a_prompt_that_stands_in_many_rows_is_asked_once(
    fake_server: FakeServer, models: str, folder: Path, rows: int
) -> None:
    fake_server.configure(latency={"median_ms": 5, "p99_ms": 30})
    run(
        models
        + f"CREATE TABLE p AS SELECT 'q' || (i // 700 % 50) AS q FROM range({rows}) t(i);"
        + "CREATE TABLE t AS SELECT text_generation(q) AS x FROM p;"
    )
    assert fake_server.stats()["requests"] == value("data.duckdb", "SELECT count(DISTINCT q) FROM p")
    assert value("data.duckdb", "SELECT count(x) FROM t") == rows
