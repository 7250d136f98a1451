"""The four functions of a task, on an ordinary connection, against a server that speaks HTTP."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

import distil_sql
from tests.fake_server import FakeServer

MODELS = """
CREATE MODEL generator (TYPE openai, model 'gen{n}', base_url '{url}', temperature 0, price_in 1, price_out 2);
CREATE MODEL labeller (TYPE openai, model 'lab{n}', base_url '{url}', temperature 0);
CREATE GENERATOR TASK say(topic VARCHAR) PROMPT 'Say {{{{ topic }}}}';
CREATE LABELLER TASK grade(text VARCHAR) RETURNS STRUCT(score INTEGER, why VARCHAR) PROMPT 'Grade {{{{ text }}}}';
"""
_numbers = itertools.count()


@pytest.fixture(scope="module")
def shared() -> duckdb.DuckDBPyConnection:
    """One connection for a module: opening one writes the whole task library."""
    con = distil_sql.connect()
    con.execute("CREATE TABLE topics AS SELECT i AS id, 'topic ' || i AS topic FROM range(6) r(i)")
    return con


@pytest.fixture
def con(shared: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> Iterator[duckdb.DuckDBPyConnection]:
    """The shared connection with models of this test's own, so that nothing in the ledger is an answer yet."""
    shared.execute("DELETE FROM distil.calls")
    distil_sql.run(MODELS.format(url=fake_server.base_url, n=next(_numbers)), shared)
    yield shared
    tasks = column(shared, "SELECT 'TASK \"' || name || '\"' FROM distil.tasks WHERE origin IS NULL")
    models = column(shared, "SELECT 'MODEL \"' || name || '\"' FROM distil.models")
    distil_sql.run(";".join(f"DROP {name}" for name in (*tasks, *models)), shared)


def one(con: duckdb.DuckDBPyConnection, query: str) -> Any:
    return con.execute(query).fetchall()[0][0]


def column(con: duckdb.DuckDBPyConnection, query: str) -> list[Any]:
    return [row[0] for row in con.execute(query).fetchall()]


def define(con: duckdb.DuckDBPyConnection, script: str) -> None:
    distil_sql.run(script + ";", con)


def scripted(server: FakeServer, **replies: Any) -> None:
    """Answer every prompt that holds the word with that text, or those texts in turn."""
    scripts = [
        {"match": word, "replies": reply if isinstance(reply, list) else [reply]} for word, reply in replies.items()
    ]
    server.configure(scripts=scripts)


def test_a_task_gives_a_typed_value(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    scripted(fake_server, Grade='{"score": 4, "why": "good"}')
    assert one(con, "SELECT say('a')").startswith("echo: Say a #")
    assert one(con, "SELECT grade('a')") == {"score": 4, "why": "good"}
    assert one(con, "SELECT grade('a').score + 1") == 5
    assert one(con, "SELECT typeof(grade('a'))") == "STRUCT(score INTEGER, why VARCHAR)"


def test_n_samples_are_a_list_and_its_first_is_the_plain_value(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    define(
        con, f"CREATE MODEL hot (TYPE openai, model 'hot', base_url '{fake_server.base_url}', temperature 1, seed 7)"
    )
    samples = one(con, "SELECT say_n('a', n := 3, model := 'hot')")
    assert len(set(samples)) == 3
    assert one(con, "SELECT say('a', model := 'hot')") == samples[0]
    assert one(con, "SELECT say('a', sample := 2, model := 'hot')") == samples[2]
    assert one(con, "SELECT say_n('a', n := 2, sample := 1, model := 'hot')") == samples[1:]
    assert fake_server.stats()["requests"] == 3


@pytest.mark.parametrize(("n", "samples"), [("0", []), ("-1", []), ("NULL", None)])
def test_an_odd_number_of_samples_asks_nothing(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer, n: str, samples: object
) -> None:
    assert one(con, f"SELECT say_n('a', n := {n})") == samples
    assert fake_server.stats()["requests"] == 0


def test_details_say_where_a_value_comes_from(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    scripted(fake_server, Say="three words here")
    found = one(con, "SELECT say_details('a')")
    call_id = found.pop("call_id")
    prompt = json.loads(found.pop("prompt"))
    assert prompt == [{"role": "user", "content": "Say a"}]
    assert found == {
        "value": "three words here",
        "response": "three words here",
        "model": "generator",
        "status": "ok",
        "error_kind": None,
        "error": None,
        "finish_reason": "stop",
        "input_tokens": 2,
        "output_tokens": 3,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "cost": pytest.approx((2 * 1 + 3 * 2) / 1e6),
        "probabilities": None,
        "logprobs": None,
    }
    assert column(con, "SELECT response FROM distil.calls WHERE call_id = '" + str(call_id) + "'") == [found["value"]]


def test_details_name_what_went_wrong(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    fake_server.configure(faults=[{"kind": "400", "match": "bad", "message": "too odd"}])
    scripted(fake_server, Grade="no idea")
    failed = one(con, "SELECT say_details('bad')")
    assert (failed["value"], failed["status"], failed["error_kind"]) == (None, "error", "invalid_request")
    assert "too odd" in failed["error"]
    unread = one(con, "SELECT grade_details('a')")
    assert (unread["value"], unread["response"], unread["error_kind"]) == (None, "no idea", "unparsable")
    unasked = one(con, "SELECT say_details(NULL)")
    assert (unasked["error"], unasked["call_id"]) == ("argument 'topic' is NULL, so no call was made", None)


@pytest.mark.parametrize("argument", ["found", "answer", "response", "value", "task", "Select", "a b"])
def test_an_argument_may_be_called_anything(con: duckdb.DuckDBPyConnection, argument: str) -> None:
    template = "{{ x }}" if " " in argument else f"{{{{ {argument} }}}}"
    more = ", x VARCHAR DEFAULT 'y'" if " " in argument else ""
    define(con, f"CREATE LABELLER TASK t(\"{argument}\" VARCHAR{more}) RETURNS INTEGER PROMPT '{template}'")
    value = one(con, "SELECT t('a')")
    assert isinstance(value, int)
    assert one(con, "SELECT t_details('a').value") == value
    assert one(con, f"SELECT t_n(\"{argument}\" := 'a', n := 2)") == [value, value]


def test_a_prompt_is_shown_in_any_format_and_asks_nothing(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    assert json.loads(one(con, "SELECT say_prompt('a')")) == [{"role": "user", "content": "Say a"}]
    assert "<|im_start|>user\nSay a<|im_end|>" in one(con, "SELECT say_prompt('a', format := 'chatml')")
    assert "[INST] Say a [/INST]" in one(con, "SELECT say_prompt('a', format := 'llama2')")
    assert one(con, "SELECT say_prompt(NULL)") is None
    with pytest.raises(duckdb.InvalidInputException, match="there is no prompt format 'nope'"):
        con.execute("SELECT say_prompt('a', format := 'nope')")
    assert fake_server.stats()["requests"] == 0


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        ("VARCHAR[]", "['a', NULL]", '["a", null]'),
        ("STRUCT(a STRUCT(b INTEGER[]))", "{'a': {'b': [1]}}", '{"a": {"b": [1]}}'),
        ("MAP(VARCHAR, INTEGER)", "MAP {'a': 1}", '{"a": 1}'),
        ("INTERVAL", "INTERVAL 1 DAY", "1 day"),
        ("TIMESTAMP_NS", "'2024-01-01 00:00:00.123456789'", "2024-01-01 00:00:00.123456789"),
        ("TIMESTAMP", "'2024-01-02 03:04:05'", "2024-01-02 03:04:05"),
        ("TIME WITH TIME ZONE", "'12:00:00+02'", "12:00:00+02"),
        ("FLOAT", "0.1", "0.1"),
        ("DECIMAL(10, 2)", "1.5", "1.50"),
        ("HUGEINT", "170141183460469231731687303715884105727", "170141183460469231731687303715884105727"),
        ("UUID", "'12345678-1234-5678-1234-567812345678'", "12345678-1234-5678-1234-567812345678"),
        ("ENUM('x', 'y')", "'x'", "x"),
        ("BOOLEAN", "true", "true"),
        ("BLOB", "'ab'::BLOB", "ab"),
        ("BIT", "'0101'", "0101"),
        ("JSON", "'{\"a\": [1]}'", '{"a": [1]}'),
    ],
)
def test_an_argument_of_any_type_reads_as_sql_prints_it(
    con: duckdb.DuckDBPyConnection, type_: str, value: str, text: str
) -> None:
    define(con, f"CREATE GENERATOR TASK t(x {type_}) PROMPT '{{{{ x }}}}'")
    assert json.loads(one(con, f"SELECT t_prompt({value})"))[0]["content"] == text


def test_defaults_are_used_and_overridden_by_name_or_place(con: duckdb.DuckDBPyConnection) -> None:
    define(con, "CREATE GENERATOR TASK t(a VARCHAR, b INTEGER DEFAULT 3, c VARCHAR := NULL) PROMPT '{{a}}-{{b}}-{{c}}'")
    calls = [
        "t_prompt('x')",
        "t_prompt('x', 4)",
        "t_prompt('x', c := 'y')",
        "t_prompt('x', b := NULL)",
        "t_prompt(NULL)",
    ]
    shown = [one(con, f"SELECT {call}") for call in calls]
    assert [row and json.loads(row)[0]["content"] for row in shown] == ["x-3-", "x-4-", "x-3-y", "x--", None]


def test_a_null_argument_makes_no_call(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    assert column(con, "SELECT say(x) FROM (VALUES (NULL), ('a'), (NULL)) t(x)")[::2] == [None, None]
    assert one(con, "SELECT say('b', sample := NULL)") is None
    assert fake_server.stats()["requests"] == 1


def test_a_row_without_a_call_needs_no_model(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    said = column(con, "SELECT say(topic, model := named) FROM (VALUES (NULL, 'nowhere'), ('a', NULL)) v(topic, named)")
    assert said[0] is None
    assert said[1]
    assert fake_server.stats()["requests"] == 1


def test_a_sample_for_each_row_is_a_call_for_each(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    query = "SELECT count(say('a', sample := i::INTEGER)) FROM range(1500) r(i)"
    assert [one(con, query), one(con, query)] == [1500, 1500]
    assert fake_server.stats()["requests"] == 1500
    assert one(con, "SELECT count(DISTINCT call_id) FROM distil.calls") == 1500


def test_a_failed_row_is_null_and_leaves_its_neighbours_alone(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    fake_server.configure(faults=[{"kind": "400", "match": "topic 1"}, {"kind": "refusal", "match": "topic 4"}])
    values = column(con, "SELECT say(topic) FROM topics ORDER BY id")
    assert [value is None for value in values] == [False, True, False, False, True, False]
    assert all(f"topic {i} " in value for i, value in enumerate(values) if value is not None)


def test_a_row_that_does_not_fit_its_template_is_null_with_the_reason(con: duckdb.DuckDBPyConnection) -> None:
    define(con, "CREATE GENERATOR TASK t(l VARCHAR[]) PROMPT '{{ l[1].upper() }}'")
    query = "SELECT t_details(l) FROM (VALUES (['a', 'b']), (['a']), (['c', 'd'])) t(l)"
    found = column(con, query)
    assert [row["value"] is None for row in found] == [False, True, False]
    assert "the prompt template cannot be rendered" in found[1]["error"]


@pytest.mark.parametrize(
    ("answer", "returns", "value"),
    [
        ('{"a": "\\ud800"}', "STRUCT(a VARCHAR)", {"a": "\ufffd"}),
        ('{"a": NaN}', "JSON", None),
        ('{"a": 1' + "0" * 400 + "}", "STRUCT(a INTEGER)", None),
        ("\ud800", "VARCHAR", "?"),
        ('{"a": "\\u0000"}', "STRUCT(a VARCHAR)", {"a": "\x00"}),
        ("[" * 10_000, "INTEGER[]", None),
        ("99999999999", "DECIMAL(4, 2)", None),
    ],
)
def test_no_answer_can_fail_the_statement(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer, answer: str, returns: str, value: object
) -> None:
    define(con, f"CREATE GENERATOR TASK t(x VARCHAR) RETURNS {returns} PROMPT '{{{{ x }}}}' WITH (reask 0)")
    scripted(fake_server, odd=answer)
    assert column(con, "SELECT t(x) FROM (VALUES ('odd'), ('even')) t(x)")[0] == value
    assert one(con, "SELECT t_details('odd').error IS NULL") is (value is not None)


@pytest.mark.parametrize(
    ("returns", "answer", "value"),
    [
        ("ENUM('yes', 'no')", "Yes.", "yes"),
        ("VARCHAR[]", '{"value": ["a", "b"]}', ["a", "b"]),
        ("MAP(VARCHAR, INTEGER)", '{"a": 1}', {"a": 1}),
        ("DOUBLE", "0.5", 0.5),
        ("STRUCT(a INTEGER)[]", '{"value": [{"a": 1}]}', [{"a": 1}]),
        ("STRUCT(d DATE, e ENUM('x', 'y'))", '{"d": "20240102", "e": "X"}', {"d": "2024-01-02", "e": "x"}),
    ],
)
def test_an_answer_becomes_a_value_of_its_type(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer, returns: str, answer: str, value: object
) -> None:
    define(con, f"CREATE LABELLER TASK t(x VARCHAR) RETURNS {returns} PROMPT '{{{{ x }}}}'")
    scripted(fake_server, q=answer)
    assert json.loads(one(con, "SELECT to_json(t('q'))::VARCHAR")) == value
