"""A JSON value that a given JSON schema accepts, decided by a seed: what a model held to that schema might write.

Understands type (also lists of types), enum, const, properties, additionalProperties, items, prefixItems, minItems,
maxItems, anyOf, oneOf, allOf, $ref within the document, bounds of numbers and strings, common formats. Not ``pattern``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

DEEP = 6  # from here on, recursive schemas take their shortest way out
WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "kelp", "lotus", "maple", "nectar"]


def constrained_text(request: Mapping[str, Any], seed: bytes) -> str | None:
    """The text that ``response_format``, ``guided_*`` or ``structured_outputs`` asks for, or None."""
    format_ = request.get("response_format") or {}
    outputs = request.get("structured_outputs") or {}
    choices = request.get("guided_choice") or outputs.get("choice")
    rng = random.Random(seed)
    if choices:
        return str(rng.choice(choices))
    schema: Any = request.get("guided_json") or outputs.get("json")
    if schema is None and format_.get("type") == "json_schema":
        schema = format_.get("json_schema", {}).get("schema", {"type": "object"})
    if schema is None and format_.get("type") == "json_object":
        schema = format_.get("schema", {"type": "object", "properties": {"text": {"type": "string"}}})
    if schema is None:
        return None
    if isinstance(schema, str):
        schema = json.loads(schema)
    return json.dumps(instance(schema, rng, schema))


def instance(schema: Any, rng: random.Random, root: Any, depth: int = 0) -> Any:
    """One value valid for ``schema``; ``root`` is the document that ``$ref`` points into."""
    if not isinstance(schema, Mapping):
        return _string({}, rng)
    if "$ref" in schema:
        return instance(_resolve(schema["$ref"], root), rng, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return rng.choice(schema["enum"])
    if "allOf" in schema:
        return instance(_merge(schema, root), rng, root, depth)
    for word in ("anyOf", "oneOf"):
        if schema.get(word):
            return instance(_branch(schema[word], rng, depth), rng, root, depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = _branch([{"type": one} for one in kind], rng, depth)["type"]
    if kind == "object" or (kind is None and ("properties" in schema or "additionalProperties" in schema)):
        return _object(schema, rng, root, depth)
    if kind == "array" or (kind is None and "items" in schema):
        return _array(schema, rng, root, depth)
    if kind == "integer":
        low, high = _bounds(schema, 1)
        step = int(schema.get("multipleOf", 1))
        return rng.randint(-(-low // step), high // step) * step
    if kind == "number":
        low, high = _bounds(schema, 0.001)
        return min(max(round(rng.uniform(low, high), 3), low), high)
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "null":
        return None
    return _string(schema, rng)


def _branch(branches: list[Any], rng: random.Random, depth: int) -> Any:
    """Null one time in eight where it is allowed, and always when deep."""
    null = [one for one in branches if isinstance(one, Mapping) and one.get("type") == "null"]
    others = [one for one in branches if one not in null]
    if null and (not others or depth >= DEEP or rng.random() < 0.125):
        return null[0]
    flat = [one for one in others if isinstance(one, Mapping) and one.get("type") not in ("object", "array", None)]
    return rng.choice(flat if depth >= DEEP and flat else others)


def _object(schema: Mapping[str, Any], rng: random.Random, root: Any, depth: int) -> dict[str, Any]:
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    names = [name for name in properties if depth < DEEP or name in required]
    value = {name: instance(properties[name], rng, root, depth + 1) for name in names}
    extra = schema.get("additionalProperties")
    wanted = max(
        schema.get("minProperties", 0), rng.randint(1, 2) if isinstance(extra, Mapping) and not properties else 0
    )
    if depth < DEEP or schema.get("minProperties"):
        while extra is not False and len(value) < wanted:
            value[f"{rng.choice(WORDS)}_{len(value)}"] = instance(extra, rng, root, depth + 1)
    for name in required:
        if name not in value:
            value[name] = instance(extra, rng, root, depth + 1)
    return value


def _array(schema: Mapping[str, Any], rng: random.Random, root: Any, depth: int) -> list[Any]:
    least = schema.get("minItems", 0)
    most = schema.get("maxItems", max(least, 3))
    count = least if depth >= DEEP else rng.randint(max(least, min(1, most)), max(least, min(most, least + 2)))
    prefix = schema.get("prefixItems", [])
    items = schema.get("items", {})
    values = [instance(prefix[i] if i < len(prefix) else items, rng, root, depth + 1) for i in range(count)]
    while len(values) < len(prefix) and len(values) < most:
        values.append(instance(prefix[len(values)], rng, root, depth + 1))
    return values


def _bounds(schema: Mapping[str, Any], step: float) -> tuple[Any, Any]:
    low = schema.get("minimum")
    if "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + step
    high = schema.get("maximum")
    if "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - step
    if low is None:
        low = 0 if high is None or high >= 0 else high - 100
    return low, low + 100 if high is None else high


def _string(schema: Mapping[str, Any], rng: random.Random) -> str:
    moment = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(5 * 365 * 86_400))
    match schema.get("format"):
        case "date":
            return moment.date().isoformat()
        case "date-time":
            return moment.isoformat().replace("+00:00", "Z")
        case "time":
            return moment.time().isoformat()
        case "uuid":
            return str(UUID(int=rng.getrandbits(128), version=4))
        case "email":
            return f"{rng.choice(WORDS)}@example.com"
        case "uri" | "url":
            return f"https://example.com/{rng.choice(WORDS)}"
    text = f"{rng.choice(WORDS)} {rng.choice(WORDS)} {rng.getrandbits(24):06x}"
    while len(text) < schema.get("minLength", 0):
        text += f" {rng.choice(WORDS)}"
    return text[: schema["maxLength"]] if "maxLength" in schema else text


def _resolve(reference: str, root: Any) -> Any:
    node = root
    for part in reference.lstrip("#").strip("/").split("/"):
        if part:
            node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def _merge(schema: Mapping[str, Any], root: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {name: value for name, value in schema.items() if name != "allOf"}
    for part in schema["allOf"]:
        part = _resolve(part["$ref"], root) if "$ref" in part else part
        for name, value in part.items():
            if name == "properties":
                merged[name] = {**merged.get(name, {}), **value}
            elif name == "required":
                merged[name] = [*merged.get(name, []), *value]
            else:
                merged[name] = value
    return merged
