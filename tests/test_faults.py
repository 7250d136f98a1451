"""What a fault does to its own row, and that it does nothing to any other; limits."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

import distil_sql
from distil_sql.engine import lane
from distil_sql.errors import ModelError, RunError
from distil_sql.status import RunState
from tests.command import model, query, value
from tests.fake_server import FakeServer

PASSING = {
    "429": {},
    "429 soon": {"retry_after": 0.2},
    "429 ms": {"retry_after": 0.2, "header": "retry-after-ms"},
    "500": {},
    "503": {"retry_after": 0.1},
    "drop": {},
    "drop_mid": {},
    "reset": {},
    "truncated_json": {},
    "malformed_json": {},
    "html": {},
    "empty_choices": {},
    "hang": {},
    "empty_content": {},
}
"""Faults that hit a row once, with their settings: asking again helps."""

LASTING = {
    "500": "server",
    "503": "server",
    "drop": "connection",
    "drop_mid": "connection",
    "reset": "connection",
    "truncated_json": "server",
    "malformed_json": "server",
    "html": "server",
    "empty_choices": "server",
    "hang": "timeout",
    "refusal": "refused",
    "content_filter": "refused",
    "empty_content": "unparsable",
    "400_context": "context_length",
    "400": "invalid_request",
}
"""Faults that hit a row each time, and the reason it ends with."""

TYPED = """CREATE OR REPLACE LABELLER TASK grade(text VARCHAR) RETURNS STRUCT(score INTEGER) PROMPT $${{ text }}$$;
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lane, "FIRST_BACKOFF_S", 0.05)
    return tmp_path


def run(script: str, **options: object) -> None:
    distil_sql.run(script, "data.duckdb", **options)  # type: ignore[arg-type]


def table(prompts: list[str]) -> str:
    """CREATE TABLE of prompts, each between two rows that nothing is wrong with."""
    rows = [f"good {i} before" for i in range(len(prompts))]
    mixed = [text for pair in zip(rows, prompts, strict=True) for text in pair] + ["good at the end"]
    listed = ", ".join(f"({i}, '{text}')" for i, text in enumerate(mixed))
    return f"CREATE OR REPLACE TABLE prompts AS SELECT * FROM (VALUES {listed}) v(id, text);\n"


ANSWERS = "CREATE OR REPLACE TABLE answers AS SELECT id, text, text_generation(text) AS answer FROM prompts;\n"


# -- rows --------------------------------------------------------------------------------------------------------------


def test_a_row_hit_by_a_passing_fault_is_answered(fake_server: FakeServer) -> None:
    fake_server.configure(
        faults=[
            {"kind": name.split()[0], "match": f"^{name}$", "attempts": 1, **given} for name, given in PASSING.items()
        ]
    )
    run(model(fake_server, timeout=1) + table(list(PASSING)) + ANSWERS)
    asked_otherwise = "text = 'empty_content'"  # an empty answer is told what was wrong with it
    wrong = f"answer IS NULL OR NOT (contains(answer, text) OR {asked_otherwise})"
    assert query("data.duckdb", f"SELECT text FROM answers WHERE {wrong}") == []
    assert value("data.duckdb", "SELECT count(*) FROM distil.calls WHERE status = 'ok'") == 2 * len(PASSING) + 1
    attempts = dict(
        query("data.duckdb", "SELECT messages->'$[0].content'->>'$', attempts FROM distil.calls WHERE attempts > 1")
    )
    assert set(attempts) == {name for name in PASSING if not name.startswith("429")}  # a rejection is no attempt
    assert set(attempts.values()) == {2}


def test_a_row_hit_by_a_lasting_fault_is_null_with_its_reason(fake_server: FakeServer) -> None:
    matches = {kind: f"^{kind}$" for kind in LASTING} | {"empty_content": "empty_content"}
    fake_server.configure(faults=[{"kind": kind, "match": match} for kind, match in matches.items()])
    details = "CREATE TABLE details AS SELECT text, unnest(text_generation_details(text)) FROM prompts;"
    run(model(fake_server, timeout=1) + table(list(LASTING)) + ANSWERS + details)
    assert query("data.duckdb", "SELECT text FROM answers WHERE answer IS NULL ORDER BY id") == [(k,) for k in LASTING]
    reasons = "SELECT messages->'$[0].content'->>'$', error_kind, error FROM distil.calls WHERE status = 'error'"
    found = {text: (kind, error) for text, kind, error in query("data.duckdb", reasons)}
    assert {text: kind for text, (kind, _) in found.items()} == LASTING
    assert all(error and "\n" not in error for _, error in found.values())
    shown = "SELECT text, value, error_kind, error FROM details WHERE status = 'error'"
    assert {text: (kind, error) for text, _, kind, error in query("data.duckdb", shown)} == found
    assert value("data.duckdb", f"SELECT count(*) FROM ({shown}) WHERE value IS NOT NULL") == 0
    assert value("data.duckdb", "SELECT count(*) FROM details WHERE error IS NULL") == len(LASTING) + 1


def test_an_answer_cut_at_max_tokens_is_a_value_for_text_and_none_for_a_type(fake_server: FakeServer) -> None:
    fake_server.configure(faults=[{"kind": "length", "match": "cut"}])
    run(
        model(fake_server)
        + model(fake_server, "labeller")
        + TYPED
        + "CREATE TABLE t AS SELECT text_generation('cut') AS text, unnest(grade_details('cut'));"
    )
    text, *typed = query("data.duckdb", "SELECT text, value, status, error_kind, finish_reason FROM t")[0]
    assert text.startswith("echo")
    assert typed == [None, "error", "truncated", "length"]
    assert value("data.duckdb", "SELECT error FROM t").endswith("raise max_tokens")
    assert "cut at max_tokens" in value("data.duckdb", "SELECT note FROM distil.status WHERE target = 't'")


# -- the runs that follow ----------------------------------------------------------------------------------------------


def test_a_failure_that_may_pass_is_asked_again_by_the_next_run_and_no_other(fake_server: FakeServer) -> None:
    fake_server.configure(faults=[{"kind": kind, "match": f"^{kind}$"} for kind in ("500", "400", "refusal")])
    script = model(fake_server) + table(["500", "400", "refusal"]) + ANSWERS
    run(script)
    fake_server.reset(settings=True)
    run(script)
    assert [body["last_user"] for body in fake_server.bodies().values()] == ["500"]
    assert query("data.duckdb", "SELECT text FROM answers WHERE answer IS NULL ORDER BY id") == [("400",), ("refusal",)]


def test_on_error_fail_stops_at_a_failed_row_and_at_one_that_failed_before(fake_server: FakeServer) -> None:
    fake_server.configure(faults=[{"kind": "400", "match": "^bad$"}])
    script = model(fake_server) + table(["bad"]) + ANSWERS
    run(script)
    for database in ("new.duckdb", "new.duckdb", "data.duckdb"):
        with pytest.raises(RunError, match="'text_generation' failed on"):
            distil_sql.run(script, database, on_error="fail")
    assert query("new.duckdb", "SELECT DISTINCT state FROM distil.runs") == [("failed",)]
    assert query("new.duckdb", "SELECT 1 FROM duckdb_tables() WHERE table_name = 'answers'") == []


def test_a_run_stops_when_more_rows_fail_than_are_allowed(fake_server: FakeServer) -> None:
    fake_server.configure(faults=[{"kind": "400", "match": "0$"}], latency={"fixed_ms": 10})
    script = model(fake_server, concurrency=4) + "CREATE OR REPLACE TABLE prompts AS FROM range(300) t(id);"
    script += "CREATE OR REPLACE TABLE answers AS SELECT text_generation('p' || id) AS answer FROM prompts;"
    with pytest.raises(RunError, match=r"calls failed, more than --max-error-ratio 0\.05 allows"):
        run(script, max_error_ratio=0.05)
    made = fake_server.stats()["requests"]
    assert 50 <= made < 200
    run(script, max_error_ratio=0.5)
    assert query("data.duckdb", "SELECT count(*), count(answer) FROM answers") == [(300, 270)]
    assert fake_server.stats()["repeats"] == 0
    with pytest.raises(RunError, match="allows"):
        run(script, max_error_ratio=0.05)


# -- limits ------------------------------------------------------------------------------------------------------------


def test_no_more_calls_are_in_flight_than_concurrency_says(fake_server: FakeServer) -> None:
    fake_server.configure(latency={"fixed_ms": 20})
    run(model(fake_server, concurrency=5) + "SELECT text_generation('q' || i) FROM range(60) t(i);")
    assert fake_server.stats()["max_in_flight"] == 5


def test_a_server_with_a_rate_limit_never_rejects_a_run_that_keeps_to_it(fake_server: FakeServer) -> None:
    fake_server.configure(rate_limit={"rpm": 1200})
    run(model(fake_server, rpm=1200, concurrency=50) + "SELECT text_generation('q' || i) FROM range(60) t(i);")
    stats = fake_server.stats()["rate_limit"]
    assert stats == {"accepted": 60, "rejected": 0}


def test_every_row_is_answered_by_a_server_with_a_rate_limit_nobody_knew_of(fake_server: FakeServer) -> None:
    fake_server.configure(rate_limit={"rpm": 1800})
    run(model(fake_server) + "CREATE TABLE t AS SELECT text_generation('q' || i) AS x FROM range(80) t(i);")
    assert value("data.duckdb", "SELECT count(x) FROM t") == 80
    assert fake_server.stats()["rate_limit"]["rejected"] < 80


# -- the server goes away ----------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_stops_the_run_and_fills_no_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "FIRST_PATIENCE_S", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = f"CREATE MODEL generator (TYPE openai, model 'm', base_url 'http://127.0.0.1:{port}/v1');"
    with pytest.raises(ModelError, match=f"cannot reach 127.0.0.1:{port}: .*start the server or check base_url"):
        run(script + "CREATE TABLE t AS SELECT text_generation('q' || i) AS x FROM range(80) t(i);")
    assert value("data.duckdb", "SELECT count(*) FROM distil.calls") == 0


def test_a_host_name_that_does_not_exist_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "FIRST_PATIENCE_S", 0.5)
    script = "CREATE MODEL generator (TYPE openai, model 'm', base_url 'http://nowhere.invalid/v1');"
    with pytest.raises(ModelError, match=r"'nowhere\.invalid'.*check base_url"):
        run(script + "SELECT text_generation('q');")


def test_a_server_that_restarts_in_the_middle_costs_no_row() -> None:
    with FakeServer(latency={"fixed_ms": 30}) as server:
        script = (
            model(server, concurrency=8)
            + "CREATE TABLE t AS SELECT text_generation('q' || i) AS x FROM range(200) t(i);"
        )

        def restart(state: RunState) -> None:
            if not restarted and sum(line.tally.done for line in state.lines) > 50:
                restarted.append(True)
                server.restart()

        restarted: list[bool] = []
        run(script, on_progress=restart)
    assert restarted
    assert value("data.duckdb", "SELECT count(x) FROM t") == 200


def test_an_account_without_credit_stops_the_run_and_fails_no_row(fake_server: FakeServer) -> None:
    fake_server.configure(faults=[{"kind": "402"}])
    with pytest.raises(ModelError, match="no quota left"):
        run(model(fake_server) + "SELECT text_generation('a');")
    fake_server.configure(faults=[])
    run(model(fake_server) + "SELECT text_generation('a');")
    assert query("data.duckdb", "SELECT status FROM distil.calls") == [("ok",)]
