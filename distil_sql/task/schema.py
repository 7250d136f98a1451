"""A response schema that each row chooses for itself: `WITH (schema '{{ schema }}')`, a template over the arguments.

`RowSchema(template).of(values)` gives the JSON schema of one row, the same object for the same text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from distil_sql.prompt.template import Template, TemplateError

_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_ONE = ("items", "additionalProperties", "not")
_SEVERAL = ("anyOf", "oneOf", "allOf", "prefixItems")
_BOUNDS = (
    ("minimum", "maximum", False),
    ("minLength", "maxLength", True),
    ("minItems", "maxItems", True),
    ("minProperties", "maxProperties", True),
)
_NAMED = ("properties", "$defs", "definitions")


class RowSchema:
    """One task's template of a schema; raises TemplateError where it does not parse."""

    def __init__(self, template: str) -> None:
        self._template = Template(template, "schema")

    @property
    def variables(self) -> frozenset[str]:
        """The arguments that it reads."""
        return self._template.variables

    def of(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema of one row; raises TemplateError where it is none."""
        schema, wrong = _read(self._template.render(values))
        if schema is None:
            raise TemplateError(f"the row's schema cannot be used: {wrong}", "schema")
        return schema


@lru_cache(maxsize=1024)
def _read(text: str) -> tuple[Mapping[str, Any] | None, str]:
    """The schema, or None and what is wrong with it. Kept by text: whoever sends it may know it by its identity."""
    try:
        schema = json.loads(text)
        if not isinstance(schema, dict):
            return None, f"it is {_brief(schema)}, not a JSON object"
        wrong = _problem(schema, schema)
    except json.JSONDecodeError as error:
        return None, f"it is no JSON ({error.msg} at character {error.pos + 1})"
    except (ValueError, RecursionError):
        return None, "it is nested too deep"
    return (None, wrong) if wrong else (schema, "")


def _problem(schema: Any, root: Mapping[str, Any]) -> str | None:
    """The first thing in a schema that no server could make sense of."""
    if isinstance(schema, bool):
        return None
    if not isinstance(schema, dict):
        return f"{_brief(schema)} stands where a schema should"
    types = schema.get("type", [])
    for type_ in types if isinstance(types, list) else [types]:
        if type_ not in _TYPES:
            return f"there is no type {_brief(type_)}: use {', '.join(_TYPES)}"
    if "enum" in schema and not (isinstance(schema["enum"], list) and schema["enum"]):
        return "its enum is no list of values"
    if wrong := _wrong_bound(schema):
        return wrong
    if not _are_texts(schema.get("required", [])):
        return "its required is no list of names"
    if "$ref" in schema and not _is_reference(schema["$ref"], root):
        return f"it has no {_brief(schema['$ref'])} to refer to"
    inner = [schema[key] for key in _ONE if key in schema]
    for key in _SEVERAL:
        if not isinstance(schema.get(key, []), list) or schema.get(key) == []:
            return f"its {key} is no list of schemas"
        inner += schema.get(key, [])
    for key in _NAMED:
        if not isinstance(schema.get(key, {}), dict):
            return f"its {key} is no object of schemas"
        inner += schema.get(key, {}).values()
    return next(filter(None, (_problem(child, root) for child in inner)), None)


def _wrong_bound(schema: Mapping[str, Any]) -> str | None:
    """What is wrong with a bound: whoever makes a grammar of the schema computes with them."""
    for low, high, counts in _BOUNDS:
        for key in (low, high):
            value = schema.get(key, 0)
            kinds = int if counts else int | float
            is_odd = isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value))
            if is_odd or not isinstance(value, kinds):
                return f"its {key} is no {'whole ' if counts else ''}number"
            if counts and value < 0:
                return f"its {key} is less than 0"
        if low in schema and high in schema and schema[low] > schema[high]:
            return f"its {low} is more than its {high}"
    return next(
        (f"its {key} is no text" for key in ("pattern", "format") if not isinstance(schema.get(key, ""), str)), None
    )


def _is_reference(path: object, root: Mapping[str, Any]) -> bool:
    """Whether a `$ref` leads to somewhere in its own document."""
    if not isinstance(path, str) or not path.startswith("#"):
        return False
    place: Any = root
    for part in path.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(place, dict) or key not in place:
            return False
        place = place[key]
    return isinstance(place, dict)


def _are_texts(found: object) -> bool:
    return isinstance(found, Sequence) and not isinstance(found, str) and all(isinstance(item, str) for item in found)


def _brief(value: object) -> str:
    said = json.dumps(value, ensure_ascii=False)
    return said if len(said) <= 40 else said[:37] + "…"
