"""DuckDB's own shell reads what distil-sql writes: every table and view, every type, from either DuckDB."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import distil_sql
from distil_sql.session import Session
from tests import official_shell
from tests.command import distil, model
from tests.fake_server import FakeServer

pytestmark = pytest.mark.skipif(official_shell.program() is None, reason="duckdb-cli is not installed")

KINDS = """
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TABLE kinds AS SELECT '920a41df-e429-4ccc-85e5-fef773f6d1cf'::UUID AS u, {'a': 1, 'b': ['x', NULL]} AS s,
    'sad'::mood AS e, '{"a": [1, 2]}'::JSON AS j, [1.5, 2.5]::FLOAT[2] AS v, [0.5]::FLOAT[] AS w, MAP {'k': 1} AS m,
    1.25::DECIMAL(9, 2) AS d, DATE '2026-01-02' AS dt, TIMESTAMP '2026-01-02 03:04:05' AS ts, INTERVAL 3 DAY AS i,
    'ab'::BLOB AS bl, 170141183460469231731687303715884105727::HUGEINT AS h, NULL::VARCHAR AS n, true AS t,
    union_value(num := 3) AS un, '101'::BIT AS bt, [{'role': 'user', 'content': 'Hi'}] AS messages;
"""
PIPELINE = """
CREATE LABELLER TASK mark(text VARCHAR) RETURNS STRUCT(score INTEGER, words VARCHAR[]) PROMPT $$Mark: {{ text }}$$;
CREATE TABLE prompts AS SELECT i AS id, 'A sentence that is long enough to be cut somewhere, number ' || i AS text
    FROM range(12) r(i);
CREATE TABLE answers AS SELECT id, text, text_generation(text) AS answer FROM prompts;
CREATE VIEW good AS FROM answers WHERE answer IS NOT NULL;
"""


@pytest.fixture(scope="module")
def database(_fake_server_process: FakeServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of which a third failed, and a table of all types."""
    server = _fake_server_process
    server.reset(settings=True)
    server.configure(faults=[{"kind": "400", "match": "number [258]$"}])
    path = tmp_path_factory.mktemp("shell") / "data.duckdb"
    prices = {"price_in": 0.15, "price_out": 0.6}
    models = model(server, "gpt_4_1_mini", **prices) + model(server, "labeller", **prices)
    script = path.with_name("preference.sql")
    script.write_text(models + PIPELINE + KINDS)
    distil_sql.run(script, path, generator="gpt_4_1_mini", max_error_ratio=1)
    return path


def test_every_table_and_view_opens(database: Path) -> None:
    with duckdb.connect(str(database)) as con:
        query = "SELECT table_schema || '.' || table_name FROM information_schema.tables ORDER BY ALL"
        names = [name for (name,) in con.execute(query).fetchall()]
        counts = [con.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in names]
    assert {"distil.calls", "distil.status", "distil.failures", "distil.costs", "main.kinds", "main.good"} <= {*names}
    found = official_shell.ask(
        *(f"SELECT count(*) AS n, count(every::VARCHAR) AS read FROM {name} every" for name in names), database=database
    )
    assert [row for rows in found for row in rows] == [{"n": count, "read": count} for count in counts]


def test_every_type_reads_as_it_was_written(database: Path) -> None:
    query = "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM kinds"
    with duckdb.connect(str(database)) as con:
        written = con.execute(query).fetchall()[0]
        types = con.execute("SELECT column_name, column_type FROM (DESCRIBE kinds)").fetchall()
    (row,), described = official_shell.ask(
        query, "SELECT column_name, column_type FROM (DESCRIBE kinds)", database=database
    )
    assert tuple(row.values()) == written
    assert [tuple(column.values()) for column in described] == types


def test_the_status_of_a_finished_run(database: Path) -> None:
    query = "SELECT target, state, calls_done, calls_failed FROM distil.status WHERE calls_total > 0"
    assert official_shell.ask(query, database=database) == [
        [{"target": "answers", "state": "done", "calls_done": 12, "calls_failed": 3}]
    ]


def test_macros_that_need_no_model_work_there_and_a_task_says_what_is_missing(database: Path) -> None:
    query = "SELECT count(*) AS n FROM to_sft(good, text, answer)"
    assert official_shell.ask(query, database=database) == [[{"n": 9}]]
    ended = official_shell.ended_with("SELECT mark('x')", database=database)
    assert ended.returncode == 1
    assert "Scalar Function with name distil_response does not exist" in ended.stderr  # as the README says


def test_the_views_fit_a_terminal_of_eighty_columns(database: Path) -> None:
    costs = official_shell.in_terminal("FROM distil.costs", database)
    assert [cell.strip() for cell in costs[1].strip("│").split("│")] == [
        "run", "task", "model", "calls", "tokens", "cost",
    ]  # fmt: skip
    assert any("│ text_generation │ gpt_4_1_mini │    12 │" in line for line in costs)
    progress = official_shell.in_terminal("FROM distil.progress", database)
    assert "│  no   │" in progress[1]
    assert "│ time_left │" in progress[1]
    assert any("│ answers " in line and "│ done    │     100 │    12 │" in line for line in progress)
    failures = official_shell.in_terminal("FROM distil.failures", database)
    assert [cell.strip() for cell in failures[1].strip("│").split("│")] == ["failed_at", "task", "error", "prompt"]
    assert any("number 8 │" in line for line in failures)
    for line in (*costs, *progress, *failures):
        assert len(line) <= 80
        assert "…" not in line


def test_failures_come_newest_first_with_their_prompts(database: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.duckdb"
    path.write_bytes(database.read_bytes())
    with duckdb.connect(str(path)) as con:  # five came last, then eight
        for number, hours in ((8, 1), (5, 2)):
            con.execute(
                "UPDATE distil.calls SET created_at = created_at + to_hours(?) WHERE messages::VARCHAR LIKE ?",
                [hours, f"%number {number}%"],
            )
        (kinds,) = con.execute("SELECT list(DISTINCT error_kind) FROM distil.calls WHERE status = 'error'").fetchall()
    (rows,) = official_shell.ask("FROM distil.failures", database=path)
    assert [row["prompt"][-1] for row in rows] == ["5", "8", "2"]
    assert len(kinds[0]) == 1
    assert all(row["error"].startswith(f"{kinds[0][0]}: ") and "400" in row["error"] for row in rows)


def test_progress_of_a_run_that_is_under_way_tells_percent_rate_and_time_left(tmp_path: Path) -> None:
    path = tmp_path / "data.duckdb"
    session = Session.open(path)
    with session.cursor() as con:
        con.execute("INSERT INTO distil.runs VALUES (uuid(), 'p.sql', '', 'running', NULL, now()::TIMESTAMP, NULL)")
        con.execute("CREATE TABLE t AS SELECT range FROM range(7)")
        con.execute(
            """INSERT INTO distil.status (run_id, statement_no, target, state, calls_total, calls_done, ledger_hits,
            started_at) SELECT run_id, 1, 't', 'running', 300, 50, 100, make_timestamp(epoch_us(now())) - INTERVAL 10
            SECOND FROM distil.runs"""
        )
    session.close()
    (rows,) = official_shell.ask(
        "SELECT percent, rows, rate BETWEEN 0.5 AND 5 AS rate, epoch(time_left) >= 50 AS left FROM distil.progress",
        database=path,
    )
    assert rows == [{"percent": 37, "rows": 7, "rate": True, "left": True}]


def test_a_database_from_before_the_views_gets_them_when_it_is_opened(database: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.duckdb"
    old.write_bytes(database.read_bytes())
    with duckdb.connect(str(old)) as con:
        for view in ("failures", "costs", "progress"):
            con.execute(f"DROP VIEW distil.{view}")
        con.execute("ALTER TABLE distil.calls DROP COLUMN scores")
    Session.open(old).close()
    calls, failed = official_shell.ask(
        "SELECT sum(calls)::INTEGER AS n FROM distil.costs", "SELECT count(*) AS n FROM distil.failures", database=old
    )
    assert (calls, failed) == ([{"n": 12}], [{"n": 3}])


def test_a_killed_process_leaves_a_file_that_opens_there(tmp_path: Path) -> None:
    path = tmp_path / "data.duckdb"
    script = (
        "import os, signal, sys, distil_sql\n"
        "con = distil_sql.connect(sys.argv[1])\n"
        f"distil_sql.run({KINDS!r}, con)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert path.with_name(path.name + ".wal").exists()
    found = official_shell.ask("SELECT count(*) AS n FROM kinds", "SELECT state FROM distil.runs", database=path)
    assert found == [[{"n": 1}], [{"state": "done"}]]


def test_while_a_process_holds_the_file_the_shell_says_so_and_status_tells_of_it(tmp_path: Path) -> None:
    path = tmp_path / "data.duckdb"
    with distil_sql.connect(path):
        ended = official_shell.ended_with("FROM distil.status", database=path)
        assert ended.returncode == 1
        assert "Conflicting lock is held" in ended.stderr
        status = distil("status", "-d", path)
        assert status.returncode == 1
        assert "is in use by another process: wait for it" in status.stderr
    assert json.dumps(official_shell.ask("FROM distil.status", database=path)) == "[[]]"
