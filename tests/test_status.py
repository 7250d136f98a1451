"""What a run says of itself: the tables, the sidecar while it holds the file, and `distil-sql status`."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

import distil_sql
from distil_sql.errors import DistilError
from distil_sql.status import RunState
from tests.command import distil, model, query, start, value
from tests.fake_server import FakeServer

COLUMNS = {
    "runs": "run_id script script_hash state error started_at finished_at",
    "status": (
        "run_id statement_no statement target state mode calls_total calls_done calls_failed ledger_hits "
        "input_tokens output_tokens cost note started_at finished_at"
    ),
    "calls": (
        "call_id task task_version model sample messages response status error_kind error finish_reason attempts "
        "input_tokens output_tokens cached_tokens cost latency_ms run_id created_at scores reasoning_tokens"
    ),
}
TABLE = "CREATE OR REPLACE TABLE answers AS SELECT text_generation('q ' || i) AS x FROM range({}) t(i);"
SIDECAR = Path("data.duckdb.status.json")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def status(*arguments: str) -> Any:
    """The run as `distil-sql status --json` shows it."""
    shown = distil("status", "-d", "data.duckdb", "--json", *arguments)
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


@pytest.mark.parametrize("table", COLUMNS)
def test_the_tables_have_the_columns_that_dashboards_rely_on(table: str) -> None:
    distil_sql.run("SELECT 1;", "data.duckdb")
    with duckdb.connect("data.duckdb") as con:
        names = [column[0] for column in con.execute(f"FROM distil.{table}").description or []]
    assert names == COLUMNS[table].split()


def test_a_finished_run_has_its_counts_tokens_and_cost_in_the_tables(fake_server: FakeServer) -> None:
    fake_server.configure(faults=[{"kind": "400", "match": "^q 3$"}])
    script = model(fake_server, price_in=2, price_out=10) + "SELECT 1;" + TABLE.format(10)
    Path("p.sql").write_text(script)
    distil_sql.run(Path("p.sql"), "data.duckdb")
    distil_sql.run(Path("p.sql"), "data.duckdb")
    counts = "calls_total, calls_done, calls_failed, ledger_hits, input_tokens, output_tokens"
    first, second = query(
        "data.duckdb",
        f"SELECT {counts}, cost FROM distil.status JOIN distil.runs r USING (run_id) WHERE target = 'answers' "
        "ORDER BY r.started_at",
    )
    stats = fake_server.stats()
    assert first[:6] == (10, 10, 1, 0, stats["prompt_tokens"], stats["completion_tokens"])
    assert first[6] == pytest.approx((2 * stats["prompt_tokens"] + 10 * stats["completion_tokens"]) / 1e6)
    assert second == (0, 0, 0, 10, 0, 0, None)
    lines = query("data.duckdb", "SELECT statement_no, target, state, mode FROM distil.status ORDER BY ALL LIMIT 4")
    assert lines[::2] == [(1, "model generator", "done", None), (2, None, "done", None)]
    assert value("data.duckdb", "SELECT count(*) FROM distil.status WHERE mode = 'demand' AND target = 'answers'") >= 1
    assert value("data.duckdb", "SELECT count(*) FROM distil.status WHERE finished_at < started_at") == 0
    runs = query("data.duckdb", "SELECT script, state, error, finished_at >= started_at FROM distil.runs")
    assert runs == [("p.sql", "done", None, True)] * 2
    calls = "SELECT DISTINCT task, model, sample, task_version, attempts, run_id = (SELECT run_id FROM distil.runs "
    calls += "ORDER BY started_at LIMIT 1), latency_ms > 0, created_at IS NOT NULL FROM distil.calls"
    assert query("data.duckdb", calls) == [("text_generation", "generator", 0, 1, 1, True, True, True)]
    failed = query("data.duckdb", "SELECT status, error_kind, error, response FROM distil.calls WHERE status <> 'ok'")
    assert failed == [("error", "invalid_request", "HTTP 400: Invalid request.", None)]


def test_the_tables_follow_a_run_while_it_is_running(fake_server: FakeServer) -> None:
    fake_server.configure(latency={"fixed_ms": 40})
    con = distil_sql.connect("data.duckdb")
    seen = []

    def look(state: RunState) -> None:
        found = con.execute(
            "SELECT s.state, s.calls_done, r.state FROM distil.status s JOIN distil.runs r USING (run_id) "
            "WHERE target = 'answers'"
        ).fetchone()
        seen.append(found)

    distil_sql.run(model(fake_server, concurrency=4) + TABLE.format(150), con, on_progress=look)
    running = [row[1] for row in seen if row and row[0] == row[2] == "running" and row[1]]
    assert running == sorted(running)
    assert 0 < running[0] < running[-1] <= 150
    assert seen[-1] == ("done", 150, "done")
    con.close()


def test_a_failed_run_says_why_in_both_tables_and_in_status() -> None:
    with pytest.raises(DistilError):
        distil_sql.run(
            "CREATE TABLE a AS SELECT 1;\nCREATE TABLE b AS SELECT error('no bread');\nSELECT 1;", "data.duckdb"
        )
    assert query("data.duckdb", "SELECT state FROM distil.runs WHERE contains(error, 'no bread')") == [("failed",)]
    states = query("data.duckdb", "SELECT state, contains(note, 'no bread') FROM distil.status ORDER BY statement_no")
    assert states == [("done", None), ("failed", True), ("pending", None)]
    shown = distil("status", "-d", "data.duckdb")
    assert "failed" in shown.stdout.splitlines()[0]
    assert "no bread" in shown.stdout.splitlines()[0]


def test_status_reads_the_sidecar_while_the_run_holds_the_file_and_the_tables_after(fake_server: FakeServer) -> None:
    fake_server.configure(latency={"fixed_ms": 200})
    Path("p.sql").write_text(model(fake_server, concurrency=2) + TABLE.format(60))
    with start("run", "p.sql", "-d", "data.duckdb") as process:
        deadline = time.monotonic() + 30
        while not (SIDECAR.exists() and _sidecar_calls() > 0) and time.monotonic() < deadline:
            time.sleep(0.05)
        during = status()
        process.send_signal(signal.SIGTERM)
        process.communicate()
    after = status()
    assert (during["state"], after["state"]) == ("running", "interrupted")
    assert during["run_id"] == after["run_id"]
    line, ended = during["statements"][1], after["statements"][1]
    assert (line["target"], line["state"], line["calls_total"]) == ("answers", "running", 60)
    assert 0 < line["calls_done"] <= ended["calls_done"] < 60
    assert set(COLUMNS["status"].split()) - {"run_id"} <= set(line)
    assert set(COLUMNS["status"].split()) - {"run_id"} <= set(ended)
    assert not SIDECAR.exists()


def _sidecar_calls() -> int:
    try:
        return int(json.loads(SIDECAR.read_text())["statements"][1]["calls_done"])
    except (OSError, ValueError):
        return 0


def test_a_run_that_was_killed_is_shown_as_interrupted(fake_server: FakeServer) -> None:
    fake_server.configure(latency={"fixed_ms": 100})
    Path("p.sql").write_text(model(fake_server, concurrency=2) + TABLE.format(200))
    with start("run", "p.sql", "-d", "data.duckdb") as process:
        fake_server.wait_for(lambda stats: stats["answered"] > 25, 30)  # more than a second: the sidecar is there
        process.send_signal(signal.SIGKILL)
    run = status()
    assert run["state"] == "interrupted"
    assert [line["state"] for line in run["statements"]] == ["done", "interrupted"]


def test_a_sidecar_of_a_process_that_has_gone_is_not_believed() -> None:
    distil_sql.run("SELECT 1;", "data.duckdb")
    gone = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(gone, 0)
    SIDECAR.write_text(json.dumps({"pid": gone, "state": "running", "script": "x", "statements": []}))
    assert status()["state"] == "done"


def test_status_as_a_table_names_every_statement(fake_server: FakeServer) -> None:
    Path("p.sql").write_text(model(fake_server) + TABLE.format(5))
    assert distil("run", "p.sql", "-d", "data.duckdb", "-q").stderr == ""
    shown = distil("status", "-d", "data.duckdb").stdout.splitlines()
    assert shown[0].split() == ["p.sql", "done"]
    assert [line.split()[0] for line in shown[3:]] == ["1", "2"]
    assert "answers" in shown[4]


def test_a_database_without_a_run_and_one_that_is_not_there() -> None:
    query("data.duckdb", "CREATE TABLE mine AS SELECT 1")
    assert distil("status", "-d", "data.duckdb").stdout == "no run yet in data.duckdb\n"
    missing = distil("status", "-d", "nothing.duckdb")
    assert (missing.returncode, "nothing.duckdb" in missing.stderr) == (2, True)
