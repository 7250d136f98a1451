"""vLLM and SGLang as servers: what their answers and errors look like, and how they are told the shape of an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

import distil_sql
from tests.command import model, query
from tests.fake_server import FakeServer

SERVERS = {"vllm": "vllm", "vllm_0.10": "vllm", "sglang": "sglang"}
"""The fake server's dialects, and their presets."""

TABLE = (
    "CREATE OR REPLACE TABLE prompts AS SELECT * FROM (VALUES (0, 'first'), (1, 'second'), (2, 'third')) v(id, text);\n"
)
TYPED = """CREATE OR REPLACE LABELLER TASK grade(text VARCHAR)
  RETURNS STRUCT(score INTEGER, reason VARCHAR) PROMPT $$Grade: {{ text }}$$;
"""
ANSWERS = """CREATE OR REPLACE TABLE answers AS
SELECT id, text_generation(text) AS answer, grade(text) AS verdict FROM prompts;
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(server: FakeServer, dialect: str, script: str, **options: object) -> None:
    both = [
        model(server, name, preset=f"'{SERVERS[dialect]}'", temperature=0, **options)
        for name in ("generator", "labeller")
    ]
    distil_sql.run("".join(both) + TABLE + TYPED + script, "data.duckdb")


@pytest.mark.parametrize("dialect", SERVERS)
def test_thoughts_are_no_part_of_an_answer_and_are_counted(fake_server: FakeServer, dialect: str) -> None:
    fake_server.configure(dialect=dialect, reasoning="let me see", cached_tokens={"block": 2})
    ask(fake_server, dialect, ANSWERS)
    for _, answer, verdict in query("data.duckdb", "FROM answers ORDER BY id"):
        assert answer.startswith("echo: ")
        assert set(verdict) == {"score", "reason"}
    counted = query("data.duckdb", "SELECT output_tokens, cached_tokens, reasoning_tokens FROM distil.calls")
    assert len(counted) == 6
    assert all(output > 3 for output, _, _ in counted)
    assert {thought for _, _, thought in counted} == ({3} if dialect == "sglang" else {0})  # vLLM does not say
    assert sum(cached for _, cached, _ in counted) == fake_server.stats()["cached_tokens"]


@pytest.mark.parametrize("dialect", SERVERS)
def test_what_a_server_says_of_a_failure_is_understood(fake_server: FakeServer, dialect: str) -> None:
    faults = [{"kind": "thinking", "match": "^second$"}, {"kind": "400_context", "match": "^third$"}]
    fake_server.configure(dialect=dialect, reasoning="let me see", faults=faults)
    ask(fake_server, dialect, "CREATE TABLE answers AS SELECT id, text_generation(text) AS answer FROM prompts;")
    assert [answer is None for _, answer in query("data.duckdb", "FROM answers ORDER BY id")] == [False, True, True]
    failures = query("data.duckdb", "FROM distil.calls SELECT error_kind, error WHERE status = 'error' ORDER BY ALL")
    (too_long, said), (cut, reason) = failures
    assert (too_long, cut) == ("context_length", "truncated")
    assert "8192" in said
    assert reason.startswith("the model was still reasoning at max_tokens, after 3 tokens: raise max_tokens")
    # prompt_tokens_details was null
    assert query("data.duckdb", "SELECT sum(cached_tokens) FROM distil.calls") == [(0,)]


@pytest.mark.parametrize("dialect", ["vllm", "sglang"])
def test_a_model_that_is_not_served_stops_the_run_with_one_sentence(fake_server: FakeServer, dialect: str) -> None:
    fake_server.configure(dialect=dialect, models=["another"])
    with pytest.raises(distil_sql.DistilError, match="does not know the model 'fake'"):
        ask(fake_server, dialect, ANSWERS)


@pytest.mark.parametrize("dialect", ["vllm", "vllm_0.10"])
def test_json_among_the_thoughts_is_the_answer(fake_server: FakeServer, dialect: str) -> None:
    fake_server.configure(dialect=dialect, faults=[{"kind": "misplaced", "match": "second|third"}])
    ask(fake_server, dialect, ANSWERS)
    assert query("data.duckdb", "SELECT count(verdict), count(answer) FROM answers") == [(3, 1)]


def test_an_answer_the_server_gives_up_is_asked_again(fake_server: FakeServer) -> None:
    given_up = [{"content": "half", "finish_reason": "abort"}, "whole"]
    fake_server.configure(dialect="sglang", scripts=[{"match": "^second$", "replies": given_up}])
    ask(fake_server, "sglang", "CREATE TABLE answers AS SELECT id, text_generation(text) AS answer FROM prompts;")
    assert query("data.duckdb", "SELECT answer FROM answers WHERE id = 1") == [("whole",)]
    assert query("data.duckdb", "SELECT attempts FROM distil.calls WHERE response = 'whole'") == [(2,)]


WAYS = {"json_schema": "response_format", "structured_outputs": "structured_outputs", "guided_json": "guided_json"}
"""The option `structured`, and the parameter it goes into."""


@pytest.mark.parametrize("way", WAYS)
def test_a_schema_reaches_the_server_in_the_way_it_takes_one(fake_server: FakeServer, way: str) -> None:
    others = "|".join(f'"{name}":' for name in WAYS.values() if name != WAYS[way])
    fake_server.configure(dialect="vllm", faults=[{"kind": "400", "match": others}])
    script = "CREATE TABLE answers AS SELECT id, grade(text) AS verdict FROM prompts;"
    ask(fake_server, "vllm", script, structured=f"'{way}'")
    # the server writes JSON only where it was shown a schema
    assert [type(verdict) for _, verdict in query("data.duckdb", "FROM answers")] == [dict] * 3


def test_thinking_is_switched_off_by_what_only_the_server_understands(fake_server: FakeServer) -> None:
    fake_server.configure(dialect="sglang", reasoning="let me see")
    for extra, thoughts in (
        ("{'chat_template_kwargs': {'enable_thinking': true}}", 3),
        ("{'chat_template_kwargs': {'enable_thinking': false}}", 0),
    ):
        script = "CREATE OR REPLACE TABLE answers AS SELECT id, text_generation(text) AS answer FROM prompts;"
        ask(fake_server, "sglang", script, extra=extra)
        counted = query("data.duckdb", "SELECT reasoning_tokens FROM distil.calls ORDER BY created_at DESC LIMIT 3")
        assert counted == [(thoughts,)] * 3
