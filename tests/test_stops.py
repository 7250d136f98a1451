"""What stops a run: a model that cannot answer, Ctrl-C, termination. It says why in one sentence and loses nothing."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

import duckdb
import pytest

import distil_sql
from distil_sql.errors import DistilError, ModelError
from tests.command import distil, model, query, start, value
from tests.fake_server import FakeServer

HEARD_S = 4.0  # the promise is 2 s; the rest is for a busy machine
TABLE = "CREATE OR REPLACE TABLE {} AS SELECT text_generation('{}' || i) AS x FROM range({}) t(i);\n"
REFUSALS = {
    "401": "refused the API key (HTTP 401): check SOME_KEY",
    "403": "refused the API key (HTTP 403): check SOME_KEY",
    "404_model": "does not know the model 'fake'",
    "429_quota": "has no quota left",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ended(process: subprocess.Popen[str]) -> tuple[int, str, float]:
    """Exit code, stderr, and how many seconds that took."""
    begun = time.monotonic()
    _, err = process.communicate(timeout=60)
    return process.returncode, err, time.monotonic() - begun


# -- a model that can answer nothing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_model_that_refuses_every_call_stops_the_run_at_once_and_nothing_is_lost(
    fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-1")
    fake_server.configure(faults=[{"kind": kind, "match": "^b"}], latency={"fixed_ms": 10})
    script = model(fake_server, api_key_env="'SOME_KEY'", concurrency=8)
    script += TABLE.format("a", "a", 20) + TABLE.format("b", "b", 500)
    with pytest.raises(ModelError, match=re.escape(REFUSALS[kind])):
        distil_sql.run(script, "data.duckdb")
    assert fake_server.stats()["requests"] <= 20 + 2 * 8
    assert query("data.duckdb", "SELECT count(x), max(error) FROM a, distil.calls") == [(400, None)]
    fake_server.configure(faults=None)
    distil_sql.run(script, "data.duckdb")
    assert value("data.duckdb", "SELECT count(x) FROM b") == 500
    assert fake_server.stats()["repeats"] == 0


def test_a_session_goes_on_after_a_refusal(fake_server: FakeServer) -> None:
    con = distil_sql.connect()
    distil_sql.run(model(fake_server), con)
    fake_server.configure(faults=[{"kind": "401", "match": "^bad$"}])
    for _ in range(2):
        with pytest.raises(duckdb.Error, match="refused the API key"):
            con.execute("SELECT text_generation('bad')").fetchall()
        assert con.execute("SELECT text_generation('good')").fetchall()[0][0].startswith("echo: good")


# -- interrupted -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "latency_ms"), [(signal.SIGINT, 150), (signal.SIGTERM, 60_000)])
def test_an_interrupted_run_stops_at_once_keeps_what_is_finished_and_says_how_to_go_on(
    fake_server: FakeServer, number: signal.Signals, latency_ms: int
) -> None:
    fake_server.configure(latency={"fixed_ms": 10}, faults=[{"kind": "500", "match": "^slow"}])
    fake_server.configure(scripts=[{"match": "^slow", "replies": [{"delay_ms": latency_ms}]}])
    script = model(fake_server, "other", concurrency=8) + TABLE.format("a", "a", 20) + TABLE.format("b", "slow", 200)
    Path("my pipeline.sql").write_text(script)
    with start("run", "my pipeline.sql", "-d", "data.duckdb", "--generator", "other") as process:
        answered = fake_server.wait_for(lambda stats: stats["requests"] >= 28)["answered"]
        process.send_signal(number)
        code, err, seconds = ended(process)
    assert code == 130
    assert seconds < HEARD_S
    assert "Traceback" not in err
    again = "distil-sql run 'my pipeline.sql' -d data.duckdb --generator other"
    assert err.splitlines()[-1] == f"error: interrupted; everything finished is kept. To go on: {again}"
    assert value("data.duckdb", "SELECT count(*) FROM distil.calls WHERE status = 'ok'") >= answered
    assert query("data.duckdb", "SELECT state FROM distil.runs") == [("interrupted",)]
    assert query("data.duckdb", "SELECT state, count(*) FROM distil.status GROUP BY ALL ORDER BY ALL") == [
        ("done", 2),
        ("interrupted", 1),
    ]
    fake_server.configure(scripts=None, faults=None)
    assert distil("run", "my pipeline.sql", "-d", "data.duckdb", "--generator", "other").returncode == 0
    assert query("data.duckdb", "SELECT count(x), count(*) FROM b") == [(200, 200)]
    assert fake_server.stats()["answered_again"] <= 8


def test_a_long_query_of_the_users_own_is_interrupted_too() -> None:
    Path("p.sql").write_text("CREATE TABLE a AS SELECT 1; SELECT sum(hash(i)) FROM range(1000000000000) t(i);")
    with start("run", "p.sql", "-d", "data.duckdb") as process:
        deadline = time.monotonic() + 20
        while not Path("data.duckdb.status.json").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        code, err, seconds = ended(process)
    assert (code, seconds < HEARD_S, "Traceback" in err) == (130, True, False)
    assert query("data.duckdb", "FROM a") == [(1,)]
    assert not Path("data.duckdb.status.json").exists()


def test_an_error_while_progress_is_shown_stops_the_run_and_leaves_it_resumable(fake_server: FakeServer) -> None:
    def broken(_: object) -> None:
        raise BrokenPipeError

    fake_server.configure(latency={"fixed_ms": 50})
    script = model(fake_server, concurrency=4) + TABLE.format("a", "a", 100)
    with pytest.raises(BrokenPipeError):
        distil_sql.run(script, "data.duckdb", on_progress=broken)
    assert query("data.duckdb", "SELECT state FROM distil.runs") == [("interrupted",)]
    distil_sql.run(script, "data.duckdb")
    assert value("data.duckdb", "SELECT count(x) FROM a") == 100


# -- the key -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["401", "403", "400", "429_quota", "404_model", "500", "html", "refusal"])
def test_the_api_key_is_written_nowhere_though_the_server_quotes_it(
    fake_server: FakeServer, folder: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    key = "sk-unique-9f3b1c77d2"
    monkeypatch.setenv("SECRET_KEY", key)
    monkeypatch.setattr("distil_sql.engine.lane.FIRST_BACKOFF_S", 0.01)
    given: dict[str, object] = {"message": f"{'x' * 265} Incorrect key: {key} {'and so on ' * 20}"}
    if fault in ("html", "refusal"):
        given = {"body": f"<html>{key}</html>" * 5} if fault == "html" else {"refusal": f"I saw {'no' * 9} key"}
    fake_server.configure(faults=[{"kind": fault, **given}], auth={"api_key": key})
    said = ""
    try:
        distil_sql.run(model(fake_server, api_key_env="'SECRET_KEY'") + TABLE.format("a", "a", 3), "data.duckdb")
    except DistilError as error:
        said = str(error)
    assert said or value("data.duckdb", "SELECT count(*) FROM distil.calls WHERE error IS NOT NULL") == 3
    query("data.duckdb", "EXPORT DATABASE 'dump' (FORMAT csv)")
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for part in (key, key[:12]):
        assert part.encode() not in everything
        assert part not in said


def test_the_command_line_says_it_in_one_line_without_the_api_key(fake_server: FakeServer) -> None:
    key = "sk-unique-9f3b1c77d2"
    fake_server.configure(faults=[{"kind": "401", "message": f"Incorrect API key provided: {key}"}])
    Path("p.sql").write_text(model(fake_server, api_key_env="'SECRET_KEY'") + TABLE.format("a", "a", 3))
    shown = [
        distil("run", "p.sql", "-d", "data.duckdb", "-q", SECRET_KEY=key),
        distil("status", "-d", "data.duckdb", SECRET_KEY=key),
        distil("models", "-d", "data.duckdb", SECRET_KEY=key),
    ]
    assert [process.returncode for process in shown] == [1, 0, 0]
    assert len(shown[0].stderr.splitlines()) == 1, shown[0].stderr
    assert not [process for process in shown if key[:12] in process.stdout + process.stderr]
