"""What a task's RETURNS type asks of the model: a JSON schema, a line of instruction, and a reader of the answer.

`Output("STRUCT(score INTEGER, reason VARCHAR)")` has `.schema` (None for text), `.hint` (the line appended to the
system message) and `.read(response)`, which gives canonical JSON of exactly that shape or raises ValueError.
A type that is not a STRUCT or MAP is wrapped as `{"value": …}`, because servers want an object at the root.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any
from uuid import UUID

from distil_sql.task.shape import Shape, closed_object, example, json_schema, shape_of, sketch

_SURROGATE = re.compile("[\ud800-\udfff]")
_THOUGHTS = re.compile(r"\A\s*(?:<think(?:ing)?>(?:.*?</think(?:ing)?>|.*\Z)|.*?</think(?:ing)?>)", re.DOTALL)
_FENCE = re.compile(r"```[a-zA-Z]*\s*\n?(.*?)```", re.DOTALL)
_DECODER = json.JSONDecoder(strict=False)  # models write line breaks inside strings
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode  # made once: json.dumps makes one a call


class Output:
    """How answers of one RETURNS type are asked for and read."""

    def __init__(self, returns: str) -> None:
        self.returns = returns
        self.shape = shape_of(returns)
        self.is_text = self.shape.kind == "string" and self.shape.format is None
        self.wrapped = self.shape.kind not in ("object", "map", "json")

    @property
    def schema(self) -> dict[str, Any] | None:
        """JSON schema with an object at its root; None for text and for JSON of any shape."""
        if self.is_text or self.shape.kind == "json":
            return None
        return closed_object({"value": json_schema(self.shape)}) if self.wrapped else json_schema(self.shape)

    @property
    def hint(self) -> str:
        """The instruction for servers and models that do not show the schema to the model; empty for text."""
        if self.is_text:
            return ""
        if self.shape.kind == "json":
            return "Answer with JSON only."
        drawn = sketch(self.shape)
        return "Answer with JSON only: " + (f'{{"value": {drawn}}}' if self.wrapped else drawn)

    def example(self) -> str:
        """JSON of this type, for where an answer is pretended."""
        return json.dumps(example(self.shape), ensure_ascii=False)

    def fit(self, value: Any) -> str:
        """A value of Python's as canonical JSON of this type, a text as it is; ValueError where it does not fit."""
        if self.is_text and isinstance(value, str):
            return value
        plain = json.loads(json.dumps(value, ensure_ascii=False, default=str))
        fitted = _fit(plain, self.shape, "the value")
        return str(fitted) if self.is_text else _canonical(fitted)

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
    written = _encode(value)
    return written if written.isascii() else _SURROGATE.sub("\ufffd", written)


def _candidates(response: str) -> Iterator[Any]:
    """JSON values a response may hold, likeliest first: all of it, a fenced block, the first object or list inside.

    A reasoning model's thoughts, of which a server may have taken the beginning, are no part of its answer.
    """
    said = _THOUGHTS.sub("", response, count=1) if "<think" in response or "</think" in response else response
    for text in (response, *([said] if said != response else ()), *_FENCE.findall(said)):
        try:
            yield _DECODER.decode(text)
        except (ValueError, RecursionError):
            continue
    starts = 0
    for match in re.finditer(r"[{\[]", said):
        starts += 1
        if starts > 20:  # a response of brackets must not cost quadratic time
            return
        try:
            yield _DECODER.raw_decode(said, match.start())[0]
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
            if value.keys() == shape.fields.keys():
                by_name = value
            else:
                by_name = {str(key).lower(): item for key, item in value.items()} | value
            missing = [key for key in shape.fields if key not in by_name and key.lower() not in by_name]
            if missing:
                raise ValueError(f"{where} has no {json.dumps(missing[0])}")
            return {
                key: _fit(by_name[key] if key in by_name else by_name[key.lower()], child, _quoted(key))
                for key, child in shape.fields.items()
            }
        case "map":
            if not isinstance(value, dict) or shape.item is None:
                raise ValueError(f"{where} should be an object, not {_brief(value)}")
            if shape.labels:
                value = {_label(key, shape, f"the key {_quoted(key)}"): item for key, item in value.items()}
            return {key: _fit(item, shape.item, _quoted(key)) for key, item in value.items()}
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
    if value in shape.labels:
        return str(value)
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
        whole = shape.kind == "integer"
        low, high = shape.bounds or ((-(2**127), 2**127) if whole else (value, value))
        if not whole or isinstance(value, int) or value.is_integer():
            if low <= value <= high:
                return int(value) if whole else value
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
