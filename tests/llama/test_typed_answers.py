"""Answers that fit their schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install 'distil-sql[llama]'")
pytest.importorskip("gguf", reason="gguf is not installed: pip install 'distil-sql[test]'")

from distil_sql.models.base import Request, Sampling
from tests.llama.asking import BOOLEAN, INTEGER, NUMBER, SHORT, ask, check_fits, options, record, user

SCHEMAS = {
    "score": record(score={"type": "integer", "minimum": 1, "maximum": 5}),
    "scalars": record(a=INTEGER, b=NUMBER, c=BOOLEAN, d={"type": "null"}, e=SHORT),
    "labels": record(label={"enum": ["yes", "no", 'a "quoted" one', "né", 3, 0.5, None, True]}),
    "list": record(items={"type": "array", "items": SHORT, "minItems": 2, "maxItems": 4}),
    "empty": record(none={"type": "array", "items": SHORT, "maxItems": 0}),
    "nullable": record(a={"anyOf": [INTEGER, {"type": "null"}]}, b={"anyOf": [SHORT, NUMBER]}),
    "nested": record(p=record(q=record(r={"type": "array", "items": record(s=BOOLEAN), "maxItems": 3}))),
    "times": record(
        a={"type": "string", "format": "date"},
        b={"type": "string", "format": "time"},
        c={"type": "string", "format": "date-time"},
        d={"type": "string", "format": "uuid"},
    ),
    "odd names": record(**{'a "b"': BOOLEAN, "c\\d": BOOLEAN, "é\n": BOOLEAN, "": BOOLEAN}),
    "bigint": record(i={"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}),
    "half characters": record(a={"enum": ["🦆", "cat"]}, b=BOOLEAN, c={"enum": ["日本", "日曜", "木", "né", "nè"]}),
    "text": record(text={"type": "string"}, more={"type": "string"}),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_answers_fit_their_schema(small: Path, name: str) -> None:
    schema = SCHEMAS[name]
    requests = [
        Request(user("go"), Sampling(temperature=temperature, max_tokens=400, seed=seed), schema=schema)
        for seed in range(8)
        for temperature in (0, 1, 3)
    ]
    answers = ask(options(small, concurrency=16), requests)
    for answer in answers:
        if answer.finish_reason == "stop":
            check_fits(json.loads(answer.text), schema)
    assert name == "text" or all(answer.finish_reason == "stop" for answer in answers)


def test_a_map_answers_with_values_of_its_type(small: Path) -> None:
    schema = record(m={"type": "object", "additionalProperties": INTEGER})
    requests = [
        Request(user("go"), Sampling(temperature=1, max_tokens=300), schema=schema, sample=n) for n in range(20)
    ]
    done = [answer for answer in ask(options(small), requests) if answer.finish_reason == "stop"]
    assert done
    for answer in done:
        check_fits(json.loads(answer.text), schema)


def test_tiny_fills_a_record() -> None:
    schema = record(score={"type": "integer", "minimum": 1, "maximum": 5}, reason={"type": "string", "maxLength": 80})
    answers = ask(
        options("tiny"),
        [Request(user("Grade: 1+1=2"), Sampling(max_tokens=200, seed=n), schema=schema) for n in range(4)],
    )
    for answer in answers:
        check_fits(json.loads(answer.text), schema)
