"""A DuckDB type as JSON sees it: `shape_of("STRUCT(score INTEGER)")`, and what follows from a shape.

`json_schema` is for servers and grammars, `sketch` for the model to read, `example` for where an answer is pretended.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

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
_NUMBERS = ("float", "double")
_PRECISION = 15
"""Digits that a number of JSON keeps wherever it is read as a double."""

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


@dataclass(frozen=True)
class Shape:
    """One level of a DuckDB type, as JSON sees it."""

    kind: str  # string, integer, number, boolean, enum, array, object, map, json
    bounds: tuple[float, float] | None = None
    format: str | None = None
    labels: tuple[str, ...] = ()
    """Of an enum, or of the keys of a map."""
    size: int | None = None
    fields: Mapping[str, Shape] = field(default_factory=dict)
    item: Shape | None = None


@lru_cache(maxsize=1)
def _types() -> tuple[duckdb.DuckDBPyConnection, threading.Lock]:
    """A connection to ask about types alone: the process's default one belongs to its user.

    It has no threads of its own, for which DuckDB would wait in vain at the end of a forked child.
    """
    no_threads: dict[str, str | bool | int | float | list[str]]
    no_threads = {"threads": 1, "async_threads": 0} if duckdb.__version__ >= "2" else {"threads": 1}
    return duckdb.connect(config=no_threads), threading.Lock()


@lru_cache(maxsize=1024)
def shape_of(returns: str) -> Shape:
    """The shape of a DuckDB type; OptionError where it has none. Kept by type: a library of tasks has few."""
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
    if kind == "decimal":
        return Shape("number", bounds=_decimal_bounds(**dict(type_.children)))
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
        key = _shape(children["key"])
        if key.kind not in ("string", "enum") or key.format is not None:
            raise OptionError(f"RETURNS {name}: the keys of a MAP must be VARCHAR or an ENUM, as they are in JSON")
        return Shape("map", labels=key.labels, item=_shape(children["value"]))
    raise OptionError(f"RETURNS {name} is not supported: use scalars, ENUM, LIST, STRUCT, MAP or JSON, or add a PARSE")


def _decimal_bounds(precision: int, scale: int) -> tuple[float, float] | None:
    """The least and the largest DECIMAL(precision, scale); None where it holds more than a number's usual digits."""
    before = precision - scale
    if before > _PRECISION:
        return None
    after = min(scale, _PRECISION - before)
    most = float(f"{'9' * before or 0}.{'9' * after}") if after else 10**before - 1
    return -most, most


def closed_object(properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object with just these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def json_schema(shape: Shape) -> dict[str, Any]:
    """The JSON schema of a shape."""
    match shape.kind:
        case "object":
            return closed_object({key: json_schema(child) for key, child in shape.fields.items()})
        case "map":
            assert shape.item is not None
            item = json_schema(shape.item)
            if shape.labels:
                return {
                    "type": "object",
                    "properties": dict.fromkeys(shape.labels, item),
                    "additionalProperties": False,
                }
            return {"type": "object", "additionalProperties": item}
        case "array":
            assert shape.item is not None
            size = {} if shape.size is None else {"minItems": shape.size, "maxItems": shape.size}
            return {"type": "array", "items": json_schema(shape.item), **size}
        case "enum":
            return {"type": "string", "enum": list(shape.labels)}
        case "integer":
            low, high = shape.bounds or (-(2**63), 2**63 - 1)
            return {"type": "integer", "minimum": low, "maximum": high}
        case "number" if shape.bounds is not None:
            return {"type": "number", "minimum": shape.bounds[0], "maximum": shape.bounds[1]}
        case "string" if shape.format is not None:
            return {"type": "string", "format": shape.format}
        case "json":
            return {}
        case kind:
            return {"type": kind}


def sketch(shape: Shape) -> str:
    """The shape in a line that people and models understand."""
    match shape.kind:
        case "object":
            return "{" + ", ".join(f"{json.dumps(k)}: {sketch(v)}" for k, v in shape.fields.items()) + "}"
        case "map":
            assert shape.item is not None
            key = _either(shape.labels) if shape.labels else "string"
            return f"{{{key}: {sketch(shape.item)}, ...}}"
        case "array":
            assert shape.item is not None
            return f"[{sketch(shape.item)}, ...]"
        case "enum":
            return _either(shape.labels)
        case "boolean":
            return "true | false"
        case "string" if shape.format is not None:
            return shape.format
        case kind:
            return kind


def _either(labels: Iterable[str]) -> str:
    return " | ".join(json.dumps(label, ensure_ascii=False) for label in labels)


def example(shape: Shape) -> Any:
    """The plainest value of a shape."""
    match shape.kind:
        case "object":
            return {key: example(child) for key, child in shape.fields.items()}
        case "map":
            return {}
        case "array":
            return [example(shape.item)] * (shape.size or 1) if shape.item else []
        case "enum":
            return shape.labels[0] if shape.labels else ""
        case "boolean":
            return True
        case "integer" | "number":
            return 1 if shape.bounds is None or shape.bounds[1] >= 1 else 0
        case _:
            return {"date": "2000-01-01", "time": "00:00:00", "date-time": "2000-01-01T00:00:00"}.get(
                shape.format or "", "00000000-0000-0000-0000-000000000000" if shape.format else "text"
            )
