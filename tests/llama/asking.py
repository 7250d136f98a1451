"""How these tests ask an embedded model, and what an answer of a schema looks like."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install 'distil-sql[llama]'")
pytest.importorskip("gguf", reason="gguf is not installed: pip install 'distil-sql[test]'")

from distil_sql.models.base import CallError, Completion, Message, Request
from distil_sql.models.llama_cpp import LlamaModel, LlamaOptions
from distil_sql.models.llama_cpp.api import Weights

T = TypeVar("T")


def user(text: str) -> tuple[Message, ...]:
    return ({"role": "user", "content": text},)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def ask(options: LlamaOptions, requests: Sequence[Request]) -> list[Completion]:
    async def work() -> list[Completion]:
        model = LlamaModel(options)
        try:
            return list(await asyncio.gather(*(model.complete(request) for request in requests)))
        finally:
            await model.close()

    return run(work())


def failure(options: LlamaOptions, request: Request) -> CallError:
    with pytest.raises(CallError) as caught:
        ask(options, [request])
    return caught.value


def options(path: Path | str, **given: Any) -> LlamaOptions:
    return LlamaOptions(path=str(path), **{"concurrency": 4, "threads": 1, **given})


def takes(weights: Weights, gbnf: str, answer: str) -> bool:
    """Whether a grammar takes an answer, token by token, to its end."""
    grammar = weights.grammar(gbnf)
    try:
        for token in weights.tokenize(answer):
            if not grammar.allows(token):
                return False
            grammar.accept(token)
        return grammar.allows(weights.eos)
    finally:
        grammar.close()


def check_fits(value: Any, schema: Mapping[str, Any]) -> None:
    """Assert that a value is what a schema describes: an independent reading of it."""
    if "anyOf" in schema:
        assert any(fits(value, option) for option in schema["anyOf"])
    elif "enum" in schema or "const" in schema:
        assert value in schema.get("enum", [schema.get("const")])
    elif schema["type"] == "object" and "properties" in schema:
        assert list(value) == list(schema["properties"])
        for name, inner in schema["properties"].items():
            check_fits(value[name], inner)
    elif schema["type"] == "object":
        assert isinstance(value, dict)
        for inner in value.values():
            check_fits(inner, schema["additionalProperties"])
    elif schema["type"] == "array":
        assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9)
        for inner in value:
            check_fits(inner, schema["items"])
    elif schema["type"] == "integer":
        assert type(value) is int
        assert schema.get("minimum", value) <= value <= schema.get("maximum", value)
    else:
        kinds = {"number": (int, float), "string": (str,), "boolean": (bool,), "null": (type(None),)}
        assert type(value) in kinds[schema["type"]]
        patterns = {"date": r"\d{4}-\d\d-\d\d", "time": r"\d\d:\d\d:\d\d(\.\d+)?", "uuid": r"[0-9a-f-]{36}"}
        assert re.fullmatch(patterns.get(schema.get("format", ""), r"(?s).*"), str(value))


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    try:
        check_fits(value, schema)
    except (AssertionError, TypeError, KeyError):
        return False
    return True


def record(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


INTEGER, NUMBER, BOOLEAN = {"type": "integer"}, {"type": "number"}, {"type": "boolean"}
SHORT = {"type": "string", "maxLength": 8}
