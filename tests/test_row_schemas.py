"""A row may say what schema its answer has: it goes with the request, is part of the key, and spoils no other row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import distil_sql
from distil_sql.errors import ScriptError
from distil_sql.models.strict import is_strict, without_bounds
from distil_sql.task.output import Output
from tests.command import model
from tests.fake_server import FakeServer


def record(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


TASK = """CREATE OR REPLACE GENERATOR TASK shaped(what VARCHAR, form VARCHAR) RETURNS JSON PROMPT $${{ what }}$$
    WITH (schema '{{ form }}', max_tokens 60, reask 0);"""
WORDS = {"type": "array", "items": {"type": "string", "maxLength": 5}, "minItems": 2, "maxItems": 2}
SCHEMAS: list[tuple[dict[str, Any], set[str]]] = [
    ({**record(name={"type": "string", "maxLength": 8}, age={"type": "integer", "minimum": 3, "maximum": 9})},
     {"name", "age"}),
    ({**record(mood={"enum": ["gay", "grim"]}), "additionalProperties": False}, {"mood"}),
    (record(words=WORDS), {"words"}),
    ({"$defs": {"yes": {"type": "boolean"}}, **record(sure={"$ref": "#/$defs/yes"})}, {"sure"}),
    (record(share={"type": "number", "minimum": 0, "maximum": 1}, note={"type": ["integer", "null"]}),
     {"share", "note"}),
]  # fmt: skip


def _rows(schemas: list[Any]) -> str:
    listed = ", ".join(
        f"({i}, $${given if isinstance(given, str) else json.dumps(given)}$$)" for i, given in enumerate(schemas)
    )
    return f"(VALUES {listed}) t(i, form)"


def _asked(script: str, database: Path, query: str) -> list[tuple[Any, ...]]:
    distil_sql.run(script, database)
    with distil_sql.connect(database) as con:
        return con.execute(query).fetchall()


def _check(found: list[tuple[Any, ...]]) -> None:
    for (text,), (schema, names) in zip(found, SCHEMAS, strict=True):
        value = json.loads(text)
        assert value.keys() == names, (schema, value)
    values = [json.loads(text) for (text,) in found]
    assert 3 <= values[0]["age"] <= 9
    assert values[1]["mood"] in ("gay", "grim")
    assert len(values[2]["words"]) == 2
    assert values[3]["sure"] in (True, False)
    assert 0 <= values[4]["share"] <= 1


@pytest.mark.parametrize("task", ["shaped", "structured_generation"])
def test_each_row_is_answered_in_its_own_schema_by_a_server(task: str, fake_server: FakeServer, tmp_path: Path) -> None:
    rows = _rows([schema for schema, _ in SCHEMAS])
    script = model(fake_server) + TASK + f"CREATE OR REPLACE TABLE t AS SELECT i, {task}('x', form) AS v FROM {rows};"
    _check(_asked(script, tmp_path / "x.duckdb", "SELECT v::VARCHAR FROM t ORDER BY i"))
    assert fake_server.stats()["requests"] == len(SCHEMAS), "the schema is part of the key, though no prompt shows it"
    distil_sql.run(script, tmp_path / "x.duckdb")
    assert fake_server.stats()["requests"] == len(SCHEMAS)


@pytest.mark.parametrize("task", ["shaped", "structured_generation"])
def test_each_row_is_answered_in_its_own_schema_by_the_embedded_model(task: str, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    script = "CREATE OR REPLACE MODEL generator (TYPE llama_cpp, path 'tiny', temperature 0, max_tokens 60);" + TASK
    rows = _rows([schema for schema, _ in SCHEMAS])
    script += f"CREATE OR REPLACE TABLE t AS SELECT i, {task}('Write JSON.', form) AS v FROM {rows};"
    _check(_asked(script, tmp_path / "x.duckdb", "SELECT v::VARCHAR FROM t ORDER BY i"))


def test_a_schema_for_every_row_is_no_trouble_to_the_embedded_model(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    script = "CREATE OR REPLACE MODEL generator (TYPE llama_cpp, path 'tiny', temperature 0, max_tokens 30);" + TASK
    form = """'{"type": "object", "required": ["f' || i || '"], "properties": {"f' || i || '": {"type": "boolean"}}}'"""
    script += f"CREATE OR REPLACE TABLE t AS SELECT i, shaped('x', {form}) AS v FROM range(400) t(i);"
    right = "SELECT bool_and(json_keys(v) = ['f' || i]) FROM t"
    assert _asked(script, tmp_path / "x.duckdb", right) == [(True,)]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ("{", "it is no JSON"),
        ("[1]", "it is [1], not a JSON object"),
        ('{"type": "text"}', 'there is no type "text": use object, array'),
        ('{"type": "object", "required": "name"}', "its required is no list of names"),
        ('{"properties": {"a": 3}}', "3 stands where a schema should"),
        ('{"properties": []}', "its properties is no object of schemas"),
        ('{"enum": []}', "its enum is no list of values"),
        ('{"items": {"anyOf": []}}', "its anyOf is no list of schemas"),
        ('{"$ref": "#/$defs/x"}', 'it has no "#/$defs/x" to refer to'),
        ('{"minimum": "3"}', "its minimum is no number"),
        ('{"properties": {"a": {"maximum": 1e999}}}', "its maximum is no number"),
        ('{"minimum": NaN}', "its minimum is no number"),
        ('{"minItems": 1.5}', "its minItems is no whole number"),
        ('{"maxLength": -1}', "its maxLength is less than 0"),
        ('{"type": "string", "minLength": 5, "maxLength": 2}', "its minLength is more than its maxLength"),
        ('{"type": "string", "format": 5}', "its format is no text"),
        ('{"a":' * 3000 + "1" + "}" * 3000, "deep"),
    ],
)
def test_a_row_whose_schema_is_none_makes_no_call_and_says_why(
    schema: str, reason: str, fake_server: FakeServer, tmp_path: Path
) -> None:
    good = record(a={"type": "integer"})
    rows = _rows([good, schema, good | {"title": "other"}])
    script = (
        model(fake_server)
        + TASK
        + f"CREATE OR REPLACE TABLE t AS SELECT i, shaped_details('x', form) AS d FROM {rows};"
    )
    found = _asked(script, tmp_path / "x.duckdb", "SELECT d.value IS NULL, d.error FROM t ORDER BY i")
    assert [null for null, _ in found] == [False, True, False]
    assert reason in found[1][1]
    assert fake_server.stats()["requests"] == 2


def test_what_a_grammar_cannot_hold_is_that_rows_error(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    script = "CREATE OR REPLACE MODEL generator (TYPE llama_cpp, path 'tiny', temperature 0, max_tokens 30);" + TASK
    rows = _rows(
        [
            record(a={"type": "boolean"}),
            record(a={"type": "string", "pattern": "^a"}),
            record(a={"type": "integer", "maximum": 10**500}),
            record(a={"type": "number", "minimum": -1e300}),
        ]
    )
    script += f"CREATE OR REPLACE TABLE t AS SELECT i, shaped_details('x', form) AS d FROM {rows};"
    found = _asked(script, tmp_path / "x.duckdb", "SELECT d.value IS NULL, d.error FROM t ORDER BY i")
    assert [null for null, _ in found] == [False, True, True, True]
    assert "pattern" in found[1][1]
    assert "beyond 1e+40" in found[2][1]


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("(x VARCHAR) RETURNS JSON PROMPT $$a$$ WITH (schema '{{ y }}')", "'y', which is no argument"),
        ("(x VARCHAR) RETURNS JSON PROMPT $$a$$ WITH (schema '{{ x')", "option 'schema'"),
        ("(x VARCHAR) RETURNS JSON PROMPT $$a$$ WITH (schema 3)", "takes a template"),
        (
            "(x VARCHAR) RETURNS STRUCT(a INTEGER) PROMPT $$a$$ WITH (schema '{{ x }}')",
            "RETURNS STRUCT(a INTEGER) says",
        ),
    ],
)
def test_a_schema_option_that_cannot_be_is_an_error_before_anything_runs(task: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ScriptError) as raised:
        distil_sql.run(f"CREATE GENERATOR TASK bad{task};", tmp_path / "x.duckdb")
    assert said in str(raised.value)


def test_servers_are_told_strict_only_where_strict_mode_takes_the_schema() -> None:
    whole = {**record(a={"type": "integer"}), "additionalProperties": False}
    assert is_strict(whole)
    assert is_strict({**whole, "$defs": {"b": whole}, "properties": {"a": {"anyOf": [whole, {"type": "null"}]}}})
    assert is_strict(Output("STRUCT(a INTEGER, b STRUCT(c VARCHAR)[])").schema)
    for loose in (
        record(a={"type": "integer"}),
        {**whole, "required": []},
        {**whole, "properties": {"a": {"oneOf": [whole]}}},
        {**whole, "properties": {"a": {"type": "array", "items": record()}}},
        Output("MAP(VARCHAR, INTEGER)").schema,
    ):
        assert not is_strict(loose), loose


def test_bounds_of_types_are_not_sent_and_those_that_a_user_wrote_are() -> None:
    own = record(a={"type": "integer", "minimum": 0, "maximum": 100}, b={"type": "integer", "enum": [1, 2]})
    own["properties"]["c"] = {"type": "number", "minimum": -1, "maximum": 1}
    assert without_bounds(own) == own
    for type_ in ("TINYINT", "INTEGER", "UBIGINT", "HUGEINT"):
        assert without_bounds(Output(type_).schema)["properties"] == {"value": {"type": "integer"}}
    for type_ in ("DECIMAL(5, 2)", "DECIMAL(18, 3)", "DECIMAL(3, 3)", "DECIMAL(38, 0)", "DECIMAL(9, 0)"):
        assert without_bounds(Output(type_).schema)["properties"] == {"value": {"type": "number"}}
