"""Tokens of SQL that is still being typed: `partial("select 'a")` gives the whole ones and where the rest starts."""

from __future__ import annotations

from dataclasses import dataclass

from distil_sql.errors import ScriptError
from distil_sql.script import Source, Token, tokenize


@dataclass(frozen=True)
class Partial:
    """The whole tokens, and the offset of a quote or comment that is not closed yet (None: all are)."""

    tokens: tuple[Token, ...]
    open_at: int | None = None


def partial(text: str) -> Partial:
    """The tokens of a text, as far as they go."""
    try:
        return Partial(tuple(tokenize(Source(text))))
    except ScriptError as error:
        lines = text.split("\n")
        at = sum(len(line) + 1 for line in lines[: error.line - 1]) + error.column - 1
        return Partial(tuple(tokenize(Source(text[:at]))), at)


def last_statement(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """The tokens after the last semicolon."""
    ends = [index for index, token in enumerate(tokens) if token.kind == "op" and token.text == ";"]
    return tokens[ends[-1] + 1 :] if ends else tokens
