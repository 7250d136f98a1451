"""RETURNS: what a type asks of the model, and what of its answers can be read."""

from __future__ import annotations

import json
import re
from typing import Any

import duckdb
import pytest

from distil_sql.errors import OptionError
from distil_sql.task.output import Output

INT32 = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}


def value_schema(returns: str) -> dict[str, Any]:
    schema = Output(returns).schema
    assert schema is not None
    assert schema["required"] == ["value"]
    value: dict[str, Any] = schema["properties"]["value"]
    return value


INTEGER = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}


@pytest.mark.parametrize(
    ("returns", "schema"),
    [
        ("INTEGER", INTEGER),
        ("UTINYINT", {"type": "integer", "minimum": 0, "maximum": 255}),
        ("HUGEINT", {"type": "integer", "minimum": -(2**127), "maximum": 2**127 - 1}),
        ("DOUBLE", {"type": "number"}),
        ("DECIMAL(10, 2)", {"type": "number", "minimum": -99999999.99, "maximum": 99999999.99}),
        ("BOOLEAN", {"type": "boolean"}),
        ("ENUM('a', 'b''c')", {"type": "string", "enum": ["a", "b'c"]}),
        ("DATE", {"type": "string", "format": "date"}),
        ("TIME", {"type": "string", "format": "time"}),
        ("TIMESTAMP", {"type": "string", "format": "date-time"}),
        ("TIMESTAMP WITH TIME ZONE", {"type": "string", "format": "date-time"}),
        ("UUID", {"type": "string", "format": "uuid"}),
        ("VARCHAR[]", {"type": "array", "items": {"type": "string"}}),
        ("DOUBLE[2]", {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}),
        ("INTEGER[][]", {"type": "array", "items": {"type": "array", "items": INTEGER}}),
    ],
)
def test_a_type_that_is_no_object_is_asked_for_inside_one(returns: str, schema: dict[str, Any]) -> None:
    assert value_schema(returns) == schema


def test_a_struct_is_asked_for_as_a_closed_object_with_all_its_fields() -> None:
    output = Output("STRUCT(score INTEGER, tags ENUM('x','y')[], more STRUCT(\"on\" DATE))")
    assert output.schema == {
        "type": "object",
        "properties": {
            "score": INTEGER,
            "tags": {"type": "array", "items": {"type": "string", "enum": ["x", "y"]}},
            "more": {
                "type": "object",
                "properties": {"on": {"type": "string", "format": "date"}},
                "required": ["on"],
                "additionalProperties": False,
            },
        },
        "required": ["score", "tags", "more"],
        "additionalProperties": False,
    }
    assert output.hint == ('Answer with JSON only: {"score": integer, "tags": ["x" | "y", ...], "more": {"on": date}}')


def test_a_map_is_an_open_object() -> None:
    output = Output("MAP(VARCHAR, INTEGER)")
    assert output.schema == {"type": "object", "additionalProperties": INTEGER}
    assert output.hint == "Answer with JSON only: {string: integer, ...}"


@pytest.mark.parametrize("returns", ["VARCHAR", "TEXT", "string", "CHAR(3)"])
def test_text_asks_for_nothing(returns: str) -> None:
    output = Output(returns)
    assert (output.is_text, output.schema, output.hint) == (True, None, "")


def test_json_of_any_shape_has_no_schema_but_a_hint() -> None:
    output = Output("JSON")
    assert (output.is_text, output.schema, output.hint) == (False, None, "Answer with JSON only.")


@pytest.mark.parametrize(
    ("returns", "reason"),
    [
        ("nonsense", "RETURNS nonsense is no DuckDB type"),
        ("STRUCT(a)", "is no DuckDB type"),
        ("VARCHAR; DROP TABLE t", "is no DuckDB type"),
        ("MAP(INTEGER, VARCHAR)", "the keys of a MAP must be VARCHAR"),
        ("BLOB", "is not supported"),
        ("INTERVAL", "is not supported"),
        ("UNION(a INTEGER, b VARCHAR)", "is not supported"),
        ("STRUCT(a STRUCT(b BIT))", "BIT is not supported"),
    ],
)
def test_a_type_that_cannot_be_asked_for_is_one_sentence(returns: str, reason: str) -> None:
    with pytest.raises(OptionError) as raised:
        Output(returns)
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


READS: list[tuple[str, str, object]] = [
    # bare, quoted, wrapped, fenced, in prose
    ("INTEGER", "4", 4),
    ("INTEGER", " 4.\n", 4),
    ("INTEGER", "**4**", 4),
    ("INTEGER", '"4"', 4),
    ("INTEGER", '{"value": 4}', 4),
    ("INTEGER", '{"VALUE": "4"}', 4),
    ("INTEGER", '{"score": 4}', 4),
    ("INTEGER", '```json\n{"value": 4}\n```', 4),
    ("INTEGER", 'Sure! {"value": 4} I hope this helps.', 4),
    ("INTEGER", "4.0", 4),
    ("INTEGER", "-7", -7),
    ("BIGINT", "9223372036854775807", 2**63 - 1),
    ("HUGEINT", str(2**126 + 1), 2**126 + 1),
    ("DOUBLE", '{"value": 1}', 1),
    ("DOUBLE", "0.25", 0.25),
    ("BOOLEAN", "True", True),
    ("BOOLEAN", '{"value": "false"}', False),
    ("VARCHAR[]", '["a", 1, null]', ["a", "1", None]),
    ("VARCHAR[]", 'Here: {"value": ["a"]}', ["a"]),
    ("INTEGER[]", '{"value": ["1", 2.0]}', [1, 2]),
    ("INTEGER[2]", "[1, 2]", [1, 2]),
    ("ENUM('yes','no')", "Yes.", "yes"),
    ("ENUM('yes','no')", '{"answer": "NO"}', "no"),
    ("ENUM('1','2')", '{"value": 2}', "2"),
    ("ENUM('a','A')", "A", "A"),
    ("DATE", "2024-02-29", "2024-02-29"),
    ("DATE", "20240229", "2024-02-29"),
    ("TIME", "12:30", "12:30:00"),
    ("TIMESTAMP", "2024-02-29", "2024-02-29T00:00:00"),
    ("TIMESTAMPTZ", "2024-02-29T12:00:00Z", "2024-02-29T12:00:00+00:00"),
    ("UUID", "{12345678-1234-5678-1234-567812345678}", "12345678-1234-5678-1234-567812345678"),
    # objects
    ("STRUCT(a INTEGER, b VARCHAR)", '{"b": "x", "a": 1, "c": 2}', {"a": 1, "b": "x"}),
    ("STRUCT(a INTEGER, b VARCHAR)", '{"A": 1, "B": null}', {"a": 1, "b": None}),
    ("STRUCT(a INTEGER)", 'no {"b": 1} but {"a": 2}', {"a": 2}),
    ("STRUCT(a VARCHAR)", '{"a": {"deep": [1]}}', {"a": '{"deep": [1]}'}),
    ("STRUCT(a VARCHAR)", '{"a": "two\nlines\tand a \x01"}', {"a": "two\nlines\tand a \x01"}),
    ("STRUCT(a VARCHAR)", '{"a": "\\ud800 half"}', {"a": "\ufffd half"}),
    ("STRUCT(a VARCHAR)", '{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
    ("MAP(VARCHAR, INTEGER)", '{"x": 1, "y": "2"}', {"x": 1, "y": 2}),
    ("MAP(VARCHAR, INTEGER)", "{}", {}),
    ("MAP(ENUM('a', 'b'), INTEGER)", '{"A": 1}', {"a": 1}),
    ("ENUM(' a', 'b')", '" a"', " a"),
    ("DECIMAL(5, 2)", "-999.99", -999.99),
    ("STRUCT(a INTEGER)[]", '[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
    ("JSON", '[1, {"a": null}]', [1, {"a": None}]),
    ("JSON", '"text"', "text"),
]


@pytest.mark.parametrize(("returns", "response", "value"), READS)
def test_an_answer_is_read_where_it_cannot_be_mistaken(returns: str, response: str, value: object) -> None:
    read = Output(returns).read(response)
    assert json.loads(read) == value
    cast = f"SELECT CAST(CAST(? AS JSON) AS {returns}) IS NOT NULL"
    assert duckdb.connect().execute(cast, [read]).fetchall() == [(True,)]


@pytest.mark.parametrize(
    ("returns", "response", "reason"),
    [
        ("INTEGER", "four", 'the answer should be an integer, not "four"'),
        ("INTEGER", "", 'the answer should be an integer, not ""'),
        ("INTEGER", '{"value": null}', "the answer is null"),
        ("INTEGER", '{"value": 4.5}', "the answer should be an integer, not 4.5"),
        ("INTEGER", '{"value": true}', "the answer should be an integer, not true"),
        ("INTEGER", "3000000000", "should lie between -2147483648 and 2147483647"),
        ("INTEGER", "1" + "0" * 400, "should lie between"),
        ("INTEGER", "1" * 5000, "the answer should be an integer"),
        ("UTINYINT", "-1", "should lie between 0 and 255"),
        ("DOUBLE", '{"value": NaN}', "should be a number, not NaN"),
        ("DOUBLE", "Infinity", "should be a number, not Infinity"),
        ("BOOLEAN", '{"value": "maybe"}', 'should be a boolean, not "maybe"'),
        ("BOOLEAN", '{"value": 1}', "should be a boolean, not 1"),
        ("ENUM('a','b')", '{"value": "c"}', 'the answer should be one of a, b, not "c"'),
        ("ENUM('a','A')", '{"value": " "}', "should be one of"),
        ("ENUM('a','b')", "I cannot say", 'should be one of a, b, not "I cannot say"'),
        ("VARCHAR[]", '{"value": "a"}', 'the answer should be a list, not "a"'),
        ("INTEGER[]", '[1, "x"]', 'item 2 of the answer should be an integer, not "x"'),
        ("INTEGER[2]", "[1]", "should have 2 items, not 1"),
        ("DATE", '{"value": "tomorrow"}', 'should be a date, not "tomorrow"'),
        ("DATE", '{"value": "2024-02-30"}', "should be a date"),
        ("UUID", '{"value": "x"}', "should be a uuid"),
        ("STRUCT(a INTEGER, b VARCHAR)", '{"a": 1}', 'the answer has no "b"'),
        ("STRUCT(a INTEGER)", "[1]", "the answer should be an object, not [1]"),
        ("STRUCT(a INTEGER)", '{"a": "x"}', '"a" should be an integer, not "x"'),
        ("STRUCT(a STRUCT(b DATE))", '{"a": {"b": "x"}}', '"b" should be a date'),
        ("STRUCT(a INTEGER)", '{"a": 1', "no JSON in it"),
        ("STRUCT(a INTEGER)", "{'a': 1}", "no JSON in it"),
        ("STRUCT(a INTEGER)", "[" * 100_000, "no JSON in it"),
        ("STRUCT(a INTEGER)", '{"a":' * 50_000, "no JSON in it"),
        ("MAP(VARCHAR, INTEGER)", '{"a": "x"}', '"a" should be an integer'),
        ("MAP(ENUM('a', 'b'), INTEGER)", '{"c": 1}', 'the key "c" should be one of a, b'),
        ("DECIMAL(5, 2)", "1000", "should lie between -999.99 and 999.99"),
        ("JSON", '{"a": NaN}', "not JSON"),
        ("JSON", "none", "no JSON in it"),
    ],
)
def test_an_answer_that_does_not_fit_says_why(returns: str, response: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)) as raised:
        Output(returns).read(response)
    assert len(str(raised.value)) < 150  # it goes to the model, and into a row
