"""What a grammar takes and refuses."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install 'distil-sql[llama]'")
pytest.importorskip("gguf", reason="gguf is not installed: pip install 'distil-sql[test]'")

from distil_sql.models.base import Request
from distil_sql.models.llama_cpp import bounds
from distil_sql.models.llama_cpp.api import LlamaError, Weights
from distil_sql.models.llama_cpp.grammar import GrammarError, gbnf
from tests.llama.asking import INTEGER, NUMBER, SHORT, failure, options, record, takes, user


def allows(weights: Weights, schema: Mapping[str, Any], value: str) -> bool:
    """Whether the grammar of {"v": schema} takes a text."""
    return takes(weights, gbnf(record(v=schema)), f'{{"v": {value}}}')


STRING = {"type": "string"}
DATE, CLOCK = {"type": "string", "format": "date"}, {"type": "string", "format": "time"}
MOMENT, UUID = {"type": "string", "format": "date-time"}, {"type": "string", "format": "uuid"}
RANGE = {"type": "integer", "minimum": -12, "maximum": 1305}

ABC = {"a": INTEGER, "b": INTEGER, "c": INTEGER}
OPEN = {"properties": ABC, "required": ["b"]}
LOOSE = {"type": "object", "properties": ABC, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (DATE, ["2024-02-29", "2000-02-29", "1999-12-31", "0001-01-01"], ["2023-02-29", "1900-02-29", "2024-04-31"]),
        (DATE, ["9999-09-30"], ["0000-01-01", "2024-13-01", "2024-00-10", "2024-1-1", "24-01-01"]),
        (CLOCK, ["00:00:00", "23:59:59.999999"], ["24:00:00", "12:60:00", "12:00", "12:00:00.1234567"]),
        (
            MOMENT,
            ["2024-02-29T10:00:00", "2024-01-01T10:00:00.5Z", "2024-01-01T10:00:00+05:30"],
            ["2024-01-01 10:00:00"],
        ),
        (
            UUID,
            ["123e4567-e89b-12d3-a456-426614174000"],
            ["123e4567e89b12d3a456426614174000", "g23e4567-e89b-12d3-a456-4266"],
        ),
        (
            STRING,
            ["", "é🦆", r"\"\\\n\u00e9", r"\ud83e\udd86"],
            [r"\u0000", r"\ud83e", r"\udd86", r"\x41", "\n", "\x7f"],
        ),
    ],
)
def test_strings_of_a_format(weights: Weights, schema: Mapping[str, Any], good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not allows(weights, schema, f'"{text}"')] == []
    assert [text for text in bad if allows(weights, schema, f'"{text}"')] == []


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (INTEGER, ["0", "-1", "12345678901234567890"], ["01", "-0", "1.0", "123456789012345678901", "+1"]),
        (NUMBER, ["0", "-1.5", "0.001", "100"], ["01", "1.", ".5", "1e5", "NaN", "1" * 16, "0." + "1" * 16]),
        (RANGE, ["-12", "-1", "0", "7", "999", "1305"], ["-13", "-100", "1306", "2000", "-0", "007", "13050"]),
        ({"type": "integer", "minimum": 5}, ["5", "10", "99999999999999999999"], ["4", "0", "-5"]),
        ({"type": ["integer", "null"]}, ["3", "null"], ["true", '"3"']),
        ({"type": "array", "items": INTEGER}, ["[]", "[1]", "[1, 2, 3]"], ["[1,2]", "[1, ]", "[ 1]"]),
        ({"type": "number", "minimum": 0, "maximum": 1}, ["0", "0.25", "1", "1.0"], ["1.5", "-0.5", "2", "10"]),
        (
            {"type": "number", "minimum": -20, "maximum": -3},
            ["-20", "-3", "-3.5", "-19.9"],
            ["-2.9", "-20.1", "3", "0"],
        ),
        (OPEN, ['{"b": 1}', '{"a": 1, "b": 2}', '{"b": 2, "c": 3}', '{"a": 1, "b": 2, "c": 3}'], ["{}", '{"a": 1}']),
        (OPEN, [], ['{"b": 2, "a": 1}', '{"b": 2, "d": 3}', '{, "b": 2}', '{"b": 2, }']),
        (LOOSE, ["{}", '{"a": 1}', '{"b": 1}', '{"a": 1, "b": 2}', '{"a": 1, "c": 3}', '{"c": 3}'], ["{, }", "{1}"]),
        ({}, ['{"a": [1, "x", null, {}]}', "[]", "true"], ["{", "[1,2]"]),
    ],
)
def test_other_values(weights: Weights, schema: Mapping[str, Any], good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not allows(weights, schema, text)] == []
    assert [text for text in bad if allows(weights, schema, text)] == []


def test_ranges_of_whole_numbers_are_exact() -> None:
    draw = random.Random(0)
    pairs = [(draw.randint(-1200, 1200), draw.randint(-1200, 1200)) for _ in range(150)]
    for low, high in [(0, 0), (1, 5), (-1, 1), (-128, 127), (0, 255), (99, 101), *map(sorted, pairs)]:
        body = "|".join(bounds.whole(low, high))
        pattern = re.compile(re.sub(r'[" ]', "", body))
        assert [n for n in range(-1300, 1300) if pattern.fullmatch(str(n))] == list(range(low, high + 1))


def test_a_deep_or_wide_schema_becomes_a_grammar(weights: Weights) -> None:
    schema: dict[str, Any] = INTEGER
    for _ in range(60):
        schema = record(a=schema)
    weights.grammar(gbnf(schema)).close()
    weights.grammar(gbnf(record(**{f"field {n}": SHORT for n in range(300)}))).close()
    weights.grammar(gbnf(record(label={"enum": [f"label {n}" for n in range(2000)]}))).close()


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "string", "pattern": "a+"}, "pattern"),
        ({"type": "string", "format": "email"}, "email"),
        ({"type": "integer", "multipleOf": 2}, "multipleOf"),
        ({"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 2}, "multipleOf"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "no whole number"),
        ({"$ref": "#/$defs/x"}, "ref"),
        ({"enum": []}, "allows nothing"),
        ({"type": "array", "items": INTEGER, "minItems": 5000}, "1000 items"),
        ({"type": "object", "properties": {"a": INTEGER}, "required": ["b"]}, "does not describe"),
        ({"allOf": [INTEGER, NUMBER]}, "allOf of several"),
        ({"anyOf": [INTEGER], "minimum": 3}, "cannot also have minimum"),
        ({"type": "number", "minimum": 2, "maximum": 1}, "held to numbers from 2 to 1"),
    ],
)
def test_a_schema_that_cannot_be_kept_is_an_error(small: Path, schema: Mapping[str, Any], message: str) -> None:
    with pytest.raises(GrammarError, match=re.escape(message)):
        gbnf(record(v=schema))
    error = failure(options(small), Request(user("x"), schema=record(v=schema)))
    assert (error.kind, error.fatal) == ("invalid_request", False)
    assert message in error.message


def test_references_lead_to_definitions_and_back_to_themselves(weights: Weights) -> None:
    tree = {"type": "object", "properties": {"n": INTEGER, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}
    grammar = weights.grammar(gbnf({**tree, "required": ["n", "next"], "$defs": {"unused": {}}}))
    try:
        for token in weights.tokenize('{"n": 1, "next": {"n": 2, "next": null}}'):
            assert grammar.allows(token)
            grammar.accept(token)
        assert grammar.allows(weights.eos)
    finally:
        grammar.close()
    shared = {
        "$defs": {"a/b": {"oneOf": [INTEGER, {"allOf": [{"type": "null"}]}]}},
        **record(x={"$ref": "#/$defs/a~1b"}),
    }
    assert "ref0" in gbnf(shared)


def test_endless_nesting_is_an_error() -> None:
    schema: dict[str, Any] = INTEGER
    for _ in range(100_000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(GrammarError, match="too deep"):
        gbnf(record(v=schema))


@pytest.mark.parametrize("text", ["root ::= missing", 'root ::= root "a"', "root ::= [", "", "nonsense"])
def test_a_bad_grammar_raises_and_does_not_crash(weights: Weights, text: str) -> None:
    with pytest.raises(LlamaError):
        weights.grammar(text)
