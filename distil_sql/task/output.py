"""What a task's RETURNS type asks of the model: a JSON schema, a line of instruction, and a reader of the answer.

`Output("STRUCT(score INTEGER, reason VARCHAR)")` has `.schema` (None for text), `.hint` (the line appended to the
system message) and `.read(response)`, which gives canonical JSON of exactly that shape or raises ValueError.
A type that is not a STRUCT or MAP is wrapped as `{"value": …}`, because servers want an object at the root.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import UUID

import duckdb

from distil_sql.errors import OptionError

_INTEGERS = {
    "tinyint": (-(2**7), 2**7 - 1),
    "smallint": (-(2**15), 2**15 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "bigint": (-(2**63), 2**63 - 1),
    "hugeint": (-(2**127), 2**127 - 1),
    "utinyint": (0, 2**8 - 1),
    "usmallint": (0, 2**16 - 1),
    "uinteger": (0, 2**32 - 1),
    "ubigint": (0, 2**64 - 1),
    "uhugeint": (0, 2**128 - 1),
}
_NUMBERS = ("float", "double", "decimal")
_FORMATS = {
    "date": "date",
    "time": "time",
    "timestamp": "date-time",
    "timestamp with time zone": "date-time",
    "timestamp_s": "date-time",
    "timestamp_ms": "date-time",
    "timestamp_ns": "date-time",
    "uuid": "uuid",
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_FENCE = re.compile(r"```[a-zA-Z]*\s*\n?(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Shape:
    """One level of a DuckDB type, as JSON sees it."""

    kind: str  # string, integer, number, boolean, enum, array, object, map, json
    bounds: tuple[int, int] | None = None
    format: str | None = None
    labels: tuple[str, ...] = ()
    size: int | None = None
    fields: Mapping[str, Shape] = field(default_factory=dict)
    item: Shape | None = None


class Output:
    """How answers of one RETURNS type are asked for and read."""

    def __init__(self, returns: str) -> None:
        self.returns = returns
        self.shape = _shape_of(returns)
        self.is_text = self.shape.kind == "string" and self.shape.format is None
        self.wrapped = self.shape.kind not in ("object", "map", "json")

    @property
    def schema(self) -> dict[str, Any] | None:
        """JSON schema with an object at its root; None for text and for JSON of any shape."""
        if self.is_text or self.shape.kind == "json":
            return None
        return _object({"value": _schema(self.shape)}) if self.wrapped else _schema(self.shape)

    @property
    def hint(self) -> str:
        """The instruction for servers and models that do not show the schema to the model; empty for text."""
        if self.is_text:
            return ""
        if self.shape.kind == "json":
            return "Answer with JSON only."
        sketch = _sketch(self.shape)
        return "Answer with JSON only: " + (f'{{"value": {sketch}}}' if self.wrapped else sketch)

    def read(self, response: str) -> str:
        """Canonical JSON of this type from a response; raises ValueError with what is wrong."""
        reason = ""  # what is wrong with the likeliest candidate
        for candidate in _candidates(response):
            if self.wrapped and isinstance(candidate, dict):
                keys = {key.lower(): key for key in candidate}
                if "value" in keys:
                    candidate = candidate[keys["value"]]
                elif len(candidate) == 1:
                    candidate = next(iter(candidate.values()))
            try:
                return _canonical(_fit(candidate, self.shape, "the answer"))
            except ValueError as error:
                reason = reason or str(error)
        if self.wrapped:
            try:  # a bare label or number
                bare = response.strip("\"'`* \n\t").rstrip(".")
                return _canonical(_fit(bare, self.shape, "the answer"))
            except ValueError as error:
                reason = reason or str(error)
        raise ValueError(reason or "no JSON in it")


def _canonical(value: Any) -> str:
    """JSON that DuckDB can read: no NaN or Infinity (ValueError), no half of a surrogate pair."""
    return _SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False, allow_nan=False))


@lru_cache(maxsize=1)
def _types() -> tuple[duckdb.DuckDBPyConnection, threading.Lock]:
    """A connection to ask about types alone: the process's default one belongs to its user."""
    return duckdb.connect(), threading.Lock()


@lru_cache(maxsize=1024)
def _shape_of(returns: str) -> Shape:
    """Kept by type: a library of tasks has few."""
    con, lock = _types()
    try:
        with lock:
            return _shape(con.sqltype(returns))
    except duckdb.Error as error:
        reason = str(error).split("\n", 1)[0]
        raise OptionError(f"RETURNS {returns} is no DuckDB type: {reason}") from None


def _shape(type_: Any) -> Shape:
    name, kind = str(type_), str(type_.id)
    if name == "JSON":
        return Shape("json")
    if kind in _INTEGERS:
        return Shape("integer", bounds=_INTEGERS[kind])
    if kind in _NUMBERS:
        return Shape("number")
    if kind == "boolean":
        return Shape("boolean")
    if kind == "varchar":
        return Shape("string")
    if kind in _FORMATS:
        return Shape("string", format=_FORMATS[kind])
    children = dict(type_.children) if kind in ("enum", "list", "array", "struct", "map") else {}
    if kind == "enum":
        return Shape("enum", labels=tuple(children["values"]))
    if kind == "list":
        return Shape("array", item=_shape(children["child"]))
    if kind == "array":
        return Shape("array", item=_shape(children["child"]), size=int(children["size"]))
    if kind == "struct":
        return Shape("object", fields={key: _shape(child) for key, child in type_.children})
    if kind == "map":
        if _shape(children["key"]).kind not in ("string", "enum"):
            raise OptionError(f"RETURNS {name}: the keys of a MAP must be VARCHAR, as they are in JSON")
        return Shape("map", item=_shape(children["value"]))
    raise OptionError(f"RETURNS {name} is not supported: use scalars, ENUM, LIST, STRUCT, MAP or JSON, or add a PARSE")


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _schema(shape: Shape) -> dict[str, Any]:
    match shape.kind:
        case "object":
            return _object({key: _schema(child) for key, child in shape.fields.items()})
        case "map":
            assert shape.item is not None
            return {"type": "object", "additionalProperties": _schema(shape.item)}
        case "array":
            assert shape.item is not None
            size = {} if shape.size is None else {"minItems": shape.size, "maxItems": shape.size}
            return {"type": "array", "items": _schema(shape.item), **size}
        case "enum":
            return {"type": "string", "enum": list(shape.labels)}
        case "integer":
            low, high = shape.bounds or (-(2**63), 2**63 - 1)
            return {"type": "integer", "minimum": low, "maximum": high}
        case "string" if shape.format is not None:
            return {"type": "string", "format": shape.format}
        case "json":
            return {}
        case kind:
            return {"type": kind}


def _sketch(shape: Shape) -> str:
    match shape.kind:
        case "object":
            return "{" + ", ".join(f"{json.dumps(k)}: {_sketch(v)}" for k, v in shape.fields.items()) + "}"
        case "map":
            assert shape.item is not None
            return "{string: " + _sketch(shape.item) + ", ...}"
        case "array":
            assert shape.item is not None
            return f"[{_sketch(shape.item)}, ...]"
        case "enum":
            return " | ".join(json.dumps(label, ensure_ascii=False) for label in shape.labels)
        case "boolean":
            return "true | false"
        case "string" if shape.format is not None:
            return shape.format
        case kind:
            return kind


def _candidates(response: str) -> Iterator[Any]:
    """JSON values a response may hold, likeliest first: all of it, a fenced block, the first object or list inside."""
    for text in (response, *_FENCE.findall(response)):
        try:
            yield json.loads(text, strict=False)  # models write line breaks inside strings
        except (ValueError, RecursionError):
            continue
    decoder = json.JSONDecoder(strict=False)
    starts = 0
    for match in re.finditer(r"[{\[]", response):
        starts += 1
        if starts > 20:  # a response of brackets must not cost quadratic time
            return
        try:
            yield decoder.raw_decode(response, match.start())[0]
        except (ValueError, RecursionError):
            continue


def _fit(value: Any, shape: Shape, where: str) -> Any:
    """The value as this shape, forgiving what cannot be mistaken ("4" for 4); ValueError names the place otherwise."""
    if value is None:
        if where == "the answer":
            raise ValueError("the answer is null")
        return None
    match shape.kind:
        case "json":
            return value
        case "object":
            if not isinstance(value, dict):
                raise ValueError(f"{where} should be an object, not {_brief(value)}")
            by_name = {str(key).lower(): item for key, item in value.items()} | value
            missing = [key for key in shape.fields if key not in by_name and key.lower() not in by_name]
            if missing:
                raise ValueError(f"{where} has no {json.dumps(missing[0])}")
            return {
                key: _fit(by_name[key] if key in by_name else by_name[key.lower()], child, json.dumps(key))
                for key, child in shape.fields.items()
            }
        case "map":
            if not isinstance(value, dict) or shape.item is None:
                raise ValueError(f"{where} should be an object, not {_brief(value)}")
            return {key: _fit(item, shape.item, json.dumps(key)) for key, item in value.items()}
        case "array":
            if not isinstance(value, list) or shape.item is None:
                raise ValueError(f"{where} should be a list, not {_brief(value)}")
            if shape.size is not None and len(value) != shape.size:
                raise ValueError(f"{where} should have {shape.size} items, not {len(value)}")
            return [_fit(item, shape.item, f"item {i + 1} of {where}") for i, item in enumerate(value)]
        case "enum":
            return _label(value, shape, where)
        case _:
            return _scalar(value, shape, where)


def _label(value: Any, shape: Shape, where: str) -> str:
    text = str(value).strip()
    if text in shape.labels:
        return text
    folded = [label for label in shape.labels if label.casefold() == text.casefold()]
    if len(folded) == 1:
        return folded[0]
    raise ValueError(f"{where} should be one of {', '.join(shape.labels)}, not {_brief(value)}")


def _scalar(value: Any, shape: Shape, where: str) -> Any:
    if shape.kind == "string":
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return _dated(text.strip(), shape.format, where) if shape.format else text
    if shape.kind == "boolean" and isinstance(value, str) and value.strip().lower() in ("yes", "no"):
        return value.strip().lower() == "yes"
    if isinstance(value, str):
        try:
            value = json.loads(value.strip().lower() if shape.kind == "boolean" else value.strip())
        except ValueError:
            raise ValueError(f"{where} should be {_article(shape.kind)}, not {_brief(value)}") from None
    if shape.kind == "boolean":
        if isinstance(value, bool):
            return value
    elif (
        isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) != float("inf")
    ):
        if shape.kind == "number":
            return value
        if isinstance(value, int) or value.is_integer():
            low, high = shape.bounds or (-(2**127), 2**127)
            if low <= int(value) <= high:
                return int(value)
            raise ValueError(f"{where} should lie between {low} and {high}, not {_brief(value)}")
    raise ValueError(f"{where} should be {_article(shape.kind)}, not {_brief(value)}")


def _dated(text: str, format_: str, where: str) -> str:
    readers: dict[str, Callable[[str], str]] = {
        "date": lambda given: dt.date.fromisoformat(given).isoformat(),
        "time": lambda given: dt.time.fromisoformat(given).replace(tzinfo=None).isoformat(),
        "date-time": lambda given: dt.datetime.fromisoformat(given).isoformat(),
        "uuid": lambda given: str(UUID(given)),
    }
    try:
        return readers[format_](text)
    except ValueError:
        raise ValueError(f"{where} should be a {format_}, not {_brief(text)}") from None


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else text[:37] + "…"
