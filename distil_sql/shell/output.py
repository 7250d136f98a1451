"""Results as text, in one of seven modes: `rendered(relation, Look(mode="csv"), width=80)`.

Boxes are drawn by DuckDB itself, so that they look as in its own shell. The other modes read every value as DuckDB
writes it as text, or as JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import duckdb

from distil_sql.errors import OptionError
from distil_sql.task import nearest

ALIASES = {"box": "duckbox", "table": "duckbox", "jsonl": "jsonlines", "ndjson": "jsonlines", "md": "markdown"}
_WIDE = 1_000_000  # columns: without a terminal nothing is cut
_ROWS_A_PIECE = 2048
_NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|FLOAT|DOUBLE|BIGNUM")
_NO_JSON = {"NaN": "null", "Infinity": "null", "-Infinity": "null"}

Row = Sequence[str | None]


@dataclass
class Look:
    """How results are shown. `max_rows` and `max_width` cut boxes alone; a `max_width` of None is the terminal's."""

    mode: str = "duckbox"
    max_rows: int = 40
    max_width: int | None = None


def mode_named(text: str) -> str:
    """A mode by its name or another name for it; OptionError suggests the nearest."""
    mode = ALIASES.get(text.lower(), text.lower())
    if mode not in MODES:
        raise OptionError(f"there is no mode {text!r}{nearest(text, MODES)}: the modes are {', '.join(MODES)}")
    return mode


def rendered(relation: duckdb.DuckDBPyRelation, look: Look, width: int | None) -> Iterable[str]:
    """A relation's rows as pieces of text; what they are made of has been computed when it returns."""
    columns = relation.columns
    if columns == ["explain_key", "explain_value"] and look.mode == "duckbox":
        return [f"{str(plan).rstrip()}\n" for _, plan in relation.fetchall()]
    if look.mode == "duckbox":
        return [_box(relation, look, width)]
    as_text = "to_json(COLUMNS(*))::VARCHAR" if look.mode.startswith("json") else "CAST(COLUMNS(*) AS VARCHAR)"
    numeric = [_NUMBER.fullmatch(str(kind)) is not None for kind in relation.types]
    table = relation.project(as_text).to_arrow_table()
    return _MODES[look.mode](columns, numeric, _rows(table))


def _box(relation: duckdb.DuckDBPyRelation, look: Look, width: int | None) -> str:
    """DuckDB prints its box where Python prints, and gives it in no other way."""
    drawn = io.StringIO()
    with contextlib.redirect_stdout(drawn):
        relation.show(max_width=look.max_width or width or _WIDE, max_rows=look.max_rows)
    return drawn.getvalue().rstrip("\n") + "\n"


def _rows(table: object) -> Iterator[Row]:
    for batch in table.to_batches(max_chunksize=_ROWS_A_PIECE):  # type: ignore[attr-defined]
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


# -- the modes ---------------------------------------------------------------------------------------------------------


def _csv(columns: Sequence[str], numeric: Sequence[bool], rows: Iterator[Row]) -> Iterator[str]:
    """RFC 4180; NULL is nothing, an empty text is two quotes."""
    yield ",".join(map(_csv_cell, columns)) + "\n"
    for row in rows:
        yield ",".join(map(_csv_cell, row)) + "\n"


def _csv_cell(value: str | None) -> str:
    if value is None:
        return ""
    if value == "" or any(character in value for character in ',"\n\r'):
        return '"' + value.replace('"', '""') + '"'
    return value


def _json(columns: Sequence[str], numeric: Sequence[bool], rows: Iterator[Row]) -> Iterator[str]:
    """One array, an object a line."""
    separator = "["
    for line in _jsonlines(columns, numeric, rows):
        yield separator + line.rstrip("\n")
        separator = ",\n"
    yield "[]\n" if separator == "[" else "]\n"


def _jsonlines(columns: Sequence[str], numeric: Sequence[bool], rows: Iterator[Row]) -> Iterator[str]:
    names = [json.dumps(name, ensure_ascii=False) for name in columns]
    for row in rows:
        values = ("null" if value is None else _NO_JSON.get(value, value) for value in row)
        yield "{" + ",".join(f"{name}:{value}" for name, value in zip(names, values, strict=True)) + "}\n"


def _markdown(columns: Sequence[str], numeric: Sequence[bool], rows: Iterator[Row]) -> Iterator[str]:
    yield "| " + " | ".join(map(_markdown_cell, columns)) + " |\n"
    yield "|" + "|".join("--:" if is_number else "---" for is_number in numeric) + "|\n"
    for row in rows:
        yield "| " + " | ".join(map(_markdown_cell, row)) + " |\n"


def _markdown_cell(value: str | None) -> str:
    text = "NULL" if value is None else value.replace("\\", "\\\\").replace("|", "\\|")
    return "<br>".join(text.splitlines())


def _line(columns: Sequence[str], numeric: Sequence[bool], rows: Iterator[Row]) -> Iterator[str]:
    """A value a line, an empty line between rows."""
    widest = max(map(len, columns))
    for number, row in enumerate(rows):
        lines = (f"{name:>{widest}} = {_shown(value)}\n" for name, value in zip(columns, row, strict=True))
        yield ("\n" if number else "") + "".join(lines)


def _list(columns: Sequence[str], numeric: Sequence[bool], rows: Iterator[Row]) -> Iterator[str]:
    """Values between bars, as they are."""
    yield "|".join(columns) + "\n"
    for row in rows:
        yield "|".join(map(_shown, row)) + "\n"


def _shown(value: str | None) -> str:
    return "NULL" if value is None else value


_MODES: dict[str, Callable[[Sequence[str], Sequence[bool], Iterator[Row]], Iterator[str]]] = {
    "csv": _csv,
    "json": _json,
    "jsonlines": _jsonlines,
    "markdown": _markdown,
    "line": _line,
    "list": _list,
}
MODES = ("duckbox", *_MODES)
