"""A response schema as servers take it: what they may refuse left out, and whether OpenAI's strict mode is for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BOUNDED = {"type", "minimum", "maximum"}
_NOT_STRICT = {
    "allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "patternProperties",
    "propertyNames", "minProperties", "maxProperties", "unevaluatedProperties", "prefixItems", "contains",
    "uniqueItems", "definitions", "default",
}  # fmt: skip


def without_bounds(schema: Any) -> Any:
    """Not every server takes the bounds of numbers: those of a type are left to whoever reads the answer.

    A schema that a user wrote goes as it is.
    """
    if isinstance(schema, Mapping):
        if schema.keys() == _BOUNDED and _is_of_a_type(schema):
            return {"type": schema["type"]}
        return {name: without_bounds(child) for name, child in schema.items()}
    return schema


def _is_of_a_type(schema: Mapping[str, Any]) -> bool:
    """Whether the bounds are those of a signed or unsigned integer of some bytes, or of a DECIMAL."""
    low, high = schema["minimum"], schema["maximum"]
    if schema["type"] == "number":
        return bool(low == -high and set(str(high).removeprefix("0")) <= {"9", "."})
    if schema["type"] != "integer" or not isinstance(low, int) or not isinstance(high, int):
        return False
    size = high + 1
    return size >= 128 and size & high == 0 and low in (0, -size)


def is_strict(schema: Any) -> bool:
    """OpenAI's strict mode wants every object closed and its fields required: a MAP is not. Some words it refuses."""
    if not isinstance(schema, Mapping) or schema.keys() & _NOT_STRICT:
        return False
    properties = schema.get("properties", {})
    if ("properties" in schema or "object" in schema.get("type", ())) and (
        schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(properties)
    ):
        return False
    children = [*properties.values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", ())]
    return all(map(is_strict, [*children, schema["items"]] if "items" in schema else children))
