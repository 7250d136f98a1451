"""DuckDB's errors as ours: one sentence with file, line and column of the script."""

from __future__ import annotations

import re

import duckdb

from distil_sql.engine.writer import FULL, is_full
from distil_sql.errors import DistilError, RunError
from distil_sql.script import Statement

_WRITTEN_WRONG = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.InvalidTypeException,
    duckdb.TypeMismatchException,
    duckdb.NotImplementedException,
    duckdb.OutOfRangeException,
    duckdb.SyntaxException,
)
_ENUM_INSIDE = (
    "this file was made in the form of an older DuckDB, which keeps no ENUM inside another type: return a VARCHAR"
    " there, or let distil-sql make a new file"
)
_PLACE = re.compile(r"\n\s*\nLINE (\d+): (.*)\n( *)\^", re.DOTALL)


def sql_error(statement: Statement, error: duckdb.Error) -> DistilError:
    """A ScriptError (the statement is wrong) or RunError (the world is), placed in the script."""
    text = str(error)
    message = FULL if is_full(text) else _sentence(text)
    placed = statement.error(message, at=_offset(statement, text))
    if isinstance(error, _WRITTEN_WRONG) or "No files found" in text:
        assert isinstance(placed, DistilError)
        return placed
    return RunError(str(placed))


def ddl_reason(error: Exception) -> str:
    """Why a statement of ours could not be carried out."""
    return _ENUM_INSIDE if "non-constant type parameter" in str(error) else str(error)


def _sentence(text: str) -> str:
    """The message without its class, its excerpt and its line breaks."""
    body = text.split("\n\nLINE ", 1)[0]
    body = re.sub(r"^(\w+ )?(\w+) Error: ", "", body)
    body = re.sub(r"^Python exception occurred while executing the UDF: \w+: ", "", body)
    lines = [line.strip() for line in body.split("\n") if line.strip()]
    return "; ".join(line.rstrip(".;!") for line in lines)


def _offset(statement: Statement, text: str) -> int:
    """Where DuckDB's caret points, as an offset of the script; else where the name it quotes stands; else the start."""
    found = _PLACE.search(text)
    if found is not None:
        line_no, shown, indent = int(found[1]), found[2].split("\n")[0], len(found[3])
        lines = statement.text.split("\n")
        if line_no <= len(lines):
            column = indent - len(f"LINE {line_no}: ")
            excerpt = shown.removeprefix("...").removesuffix("...")
            start = lines[line_no - 1].find(excerpt)
            if shown.startswith("..."):
                column -= 3
            if start >= 0 and column >= 0:
                before = sum(len(line) + 1 for line in lines[: line_no - 1])
                return statement.offset + before + start + column
    for quoted in re.findall(r'"([^"]+)"', text):
        for token in statement.tokens:
            if token.kind in ("word", "quoted") and token.name.lower() == quoted.lower():
                return token.start
    return statement.offset
