"""A JSON schema as a grammar (GBNF), so that whatever a model answers is JSON of that shape.

`gbnf(schema)` writes it; the text looks as `json.dumps` writes it (`", "`, `": "`), which leaves no white space to
repeat without end. Numbers have at most 20 digits; only `max_tokens` bounds a string that has no `maxLength`.
Properties come in the schema's order, and no others where it names some; oneOf is anyOf.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from distil_sql.models.llama_cpp import bounds

Schema = Mapping[str, Any]

DIGITS = 20
"""Most digits of a whole number without bounds."""

LARGEST = 10**40
"""Bounds beyond it, of either sign, would make rules without end; HUGEINT's are within it."""

MOST_REPEATS = 1000
"""llama.cpp writes repetitions out, and refuses those of more than 2,000."""

_RULES = {
    "char": r'[^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" code)',
    # Surrogates only in pairs, and no \u0000: what every database can store.
    "code": 'lone hex hex hex | [dD] [0-7] hex hex | "0" nonzero | [dD] [89abAB] hex hex "\\\\u" [dD] [c-fC-F] hex hex',
    "lone": "[1-9a-cA-CeEfF]",
    "nonzero": '[1-9a-fA-F] hex hex | "0" [1-9a-fA-F] hex | "00" [1-9a-fA-F]',
    "hex": "[0-9a-fA-F]",
    "string": r'"\"" char* "\""',
    "integer": f'"0" | "-"? [1-9] [0-9]{{0,{DIGITS - 1}}}',
    "number": '"-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,15})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "value": "string | number | boolean | null | list | map",
    "list": '"[" (value (", " value)*)? "]"',
    "map": '"{" (string ": " value (", " string ": " value)*)? "}"',
    "date": r'"\"" day "\""',
    "time": r'"\"" clock "\""',
    "date-time": r'"\"" day "T" clock ("Z" | [-+] ("0" [0-9] | "1" [0-4]) ":" [0-5] [0-9])? "\""',
    "uuid": r'"\"" digit{8} "-" digit{4} "-" digit{4} "-" digit{4} "-" digit{12} "\""',
    "digit": "[0-9a-f]",
    "day": 'year "-" month | leap "-02-29"',
    "year": '"000" [1-9] | "00" [1-9] [0-9] | "0" [1-9] [0-9]{2} | [1-9] [0-9]{3}',
    "month": '("0" [13578] | "1" [02]) "-" upto31 | ("0" [469] | "11") "-" upto30 | "02-" upto28',
    "upto28": '"0" [1-9] | "1" [0-9] | "2" [0-8]',
    "upto30": '"0" [1-9] | [12] [0-9] | "30"',
    "upto31": '"0" [1-9] | [12] [0-9] | "3" [01]',
    "leap": '[0-9] [0-9] fourth | ("0" [48] | [2468] [048] | [13579] [26]) "00"',
    "fourth": '"0" [48] | [2468] [048] | [13579] [26]',
    "clock": '("0" | "1") [0-9] ":" sixty ":" sixty fraction? | "2" [0-3] ":" sixty ":" sixty fraction?',
    "sixty": "[0-5] [0-9]",
    "fraction": '"." [0-9]{1,6}',
}

_NOTES = {
    "title", "description", "default", "examples", "$schema", "$id", "$comment", "deprecated", "$defs", "definitions",
}  # fmt: skip
_KEYWORDS = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"format", "minLength", "maxLength"},
    "integer": {"minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "boolean": set[str](),
    "null": set[str](),
}


class GrammarError(ValueError):
    """A schema that cannot be held to; the message names the part."""


def gbnf(schema: Schema) -> str:
    """The grammar of a schema; raises `GrammarError` for a keyword that it would not keep."""
    writer = _Writer(schema)
    try:
        root = writer.rule(schema)
    except RecursionError as error:
        raise GrammarError("the schema is nested too deep") from error
    return writer.text(root)


class _Writer:
    """Rules under way: `rule` gives an expression for a schema, named rules gather in `rules`."""

    def __init__(self, document: Schema) -> None:
        self.document = document
        self.rules: dict[str, str] = {}
        self._referred: dict[str, str] = {}

    def text(self, root: str) -> str:
        for name in list(_words(root)):
            self._use(name)
        for body in list(self.rules.values()):
            for name in _words(body):
                self._use(name)
        return "\n".join([f"root ::= {root}", *(f"{name} ::= {body}" for name, body in self.rules.items())]) + "\n"

    def _use(self, name: str) -> None:
        """Take a shared rule, and those it needs, into the grammar."""
        if name in _RULES and name not in self.rules:
            self.rules[name] = _RULES[name]
            for other in _words(_RULES[name]):
                self._use(other)

    def _named(self, body: str) -> str:
        name = f"r{len(self.rules)}"
        self.rules[name] = body
        return name

    def rule(self, schema: Schema | bool) -> str:
        """An expression (one word or literal) that matches what the schema does."""
        if schema is True or schema == {}:
            return "value"
        if not isinstance(schema, Mapping):
            raise GrammarError(f"the schema {schema!r} allows nothing")
        keys = set(schema) - _NOTES
        if "const" in keys:
            return _literal(schema["const"])
        if "enum" in keys:
            return self._either(_literal(value) for value in schema["enum"])
        for word in ("anyOf", "oneOf", "allOf", "$ref"):
            if word in keys and keys - {"type"} != {word}:
                raise GrammarError(f"a schema with {word} cannot also have {', '.join(sorted(keys - {word}))}")
        if "$ref" in keys:
            return self._reference(str(schema["$ref"]))
        if "allOf" in keys and len(schema["allOf"]) != 1:
            raise GrammarError("a model cannot be held to allOf of several schemas")
        for word in keys & {"anyOf", "oneOf", "allOf"}:
            return self._either(self.rule(option) for option in schema[word])
        kind = schema.get("type", "object" if "properties" in keys else "array" if "items" in keys else None)
        if isinstance(kind, list):
            return self._either(self.rule({**schema, "type": one}) for one in kind)
        if kind not in _KEYWORDS:
            raise GrammarError(f"a model cannot be held to the schema {json.dumps(schema, default=str)[:200]}")
        if unknown := keys - _KEYWORDS[kind] - {"type"}:
            raise GrammarError(f"a model cannot be held to the schema keyword {', '.join(sorted(unknown))}")
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return self._array(schema)
        if kind == "string":
            return self._string(schema)
        if kind in ("integer", "number") and ("minimum" in schema or "maximum" in schema):
            low, high = schema.get("minimum", 1 - 10**DIGITS), schema.get("maximum", 10**DIGITS - 1)
            if max(abs(low), abs(high)) > LARGEST:
                raise GrammarError(f"a model cannot be held to a number beyond {LARGEST:g}")
            try:
                found = bounds.whole(low, high) if kind == "integer" else bounds.decimals(low, high)
            except ValueError as error:
                raise GrammarError(str(error)) from None
            return self._named(" | ".join(found))
        return str(kind)

    def _reference(self, path: str) -> str:
        """A rule for what a $ref leads to, made once: it may lead back to itself."""
        if path not in self._referred:
            place: Any = self.document if path.startswith("#") else None
            for part in path.split("/")[1:]:
                key = part.replace("~1", "/").replace("~0", "~")
                place = place.get(key) if isinstance(place, Mapping) else None
            if place is None:
                raise GrammarError(f"the schema has no {path} for $ref to lead to")
            name = self._referred[path] = f"ref{len(self._referred)}"
            self.rules[name] = ""  # its place: other rules are numbered by how many there are
            self.rules[name] = self.rule(place)
        return self._referred[path]

    def _either(self, options: Iterable[str]) -> str:
        found = list(dict.fromkeys(options))
        if not found:
            raise GrammarError("the schema allows nothing")
        return found[0] if len(found) == 1 else self._named(" | ".join(found))

    def _object(self, schema: Schema) -> str:
        properties: Mapping[str, Schema] = schema.get("properties") or {}
        required = set(schema.get("required", ()))
        if unknown := required - set(properties):
            raise GrammarError(f"an object must have {', '.join(sorted(unknown))}, which the schema does not describe")
        more = schema.get("additionalProperties", True)
        if not properties:
            if more is False:
                return _quote("{}")
            pair = self._named(f'string ": " {self.rule(more)}')
            return self._named(f'"{{" ({pair} (", " {pair})*)? "}}"')
        pairs = [
            (f"{_quote(json.dumps(name, ensure_ascii=False) + ': ')} {self.rule(inner)}", name in required)
            for name, inner in properties.items()
        ]
        whole, after = '""', ""  # what stands from a property on, where none stands before it and where one does
        for pair, needed in reversed(pairs):
            if after and not required >= set(properties):
                after = self._named(after)
            whole = f"{pair} {after}" if needed else f"{pair} {after} | {whole}"
            after = f'", " {pair} {after}' if needed else f'(", " {pair})? {after}'
        return self._named(f'"{{" ({whole}) "}}"')

    def _array(self, schema: Schema) -> str:
        least, most = schema.get("minItems") or 0, schema.get("maxItems")
        if max(least, most or 0) > MOST_REPEATS:
            raise GrammarError(f"a model cannot be held to an array of more than {MOST_REPEATS} items")
        if most is not None and most < least:  # llama.cpp would fill the memory
            raise GrammarError(f"no array has at least {least} items and at most {most}")
        if most == 0:
            return _quote("[]")
        item = self.rule(schema.get("items", True))
        rest = f'(", " {item}){{{max(least - 1, 0)},{"" if most is None else most - 1}}}'
        return self._named(f'"[" {item} {rest} "]"' if least else f'"[" ({item} {rest})? "]"')

    def _string(self, schema: Schema) -> str:
        form = schema.get("format")
        if form is not None:
            if form not in ("date", "time", "date-time", "uuid"):
                raise GrammarError(f"a model cannot be held to the string format '{form}'")
            return str(form)
        least, most = schema.get("minLength") or 0, schema.get("maxLength")
        if max(least, most or 0) > MOST_REPEATS:
            raise GrammarError(f"a model cannot be held to a string length of more than {MOST_REPEATS}")
        if most is not None and most < least:
            raise GrammarError(f"no string has at least {least} characters and at most {most}")
        if not least and most is None:
            return "string"
        return self._named(f'"\\"" char{{{least},{"" if most is None else most}}} "\\""')


def _words(body: str) -> list[str]:
    """The rule names an expression refers to."""
    words, word, skip, closing = [], "", False, ""
    for character in body + " ":
        if closing:  # inside a literal or a character class
            closing = "" if character == closing and not skip else closing
            skip = character == "\\" and not skip
        elif character in '"[':
            closing = '"' if character == '"' else "]"
        elif character.isalpha() or (word and (character.isdigit() or character == "-")):
            word += character
            continue
        if word:
            words.append(word)
        word = ""
    return words


def _literal(value: Any) -> str:
    if isinstance(value, (list, dict)):
        raise GrammarError("const and enum take strings, numbers, true, false and null only")
    return _quote(json.dumps(value, ensure_ascii=False))


def _quote(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(c, c) for c in text) + '"'
