"""The parts of an export: train alone, or train and test by a hash, and what is amiss with them.

parts, notes = parts_of(con, rows, 0.1, seed=0, by=None)    # {"train": Rows, "test": Rows}, sentences for the user
"""

from __future__ import annotations

import duckdb

from distil_sql.errors import DatabaseError, OptionError
from distil_sql.export.formats import Rows
from distil_sql.quoting import name as quoted

_CLASSES = 20
"""Most values of a column whose classes a split is checked for."""


def parts_of(
    con: duckdb.DuckDBPyConnection, rows: Rows, share: float | None, *, seed: int = 0, by: str | None = None
) -> tuple[dict[str, Rows], list[str]]:
    """The parts that have rows, and a sentence for each thing that a trainer would stumble over.

    Raises OptionError where a split leaves nothing to train on, DatabaseError where the rows cannot be read.
    """
    if not share:
        return {"train": rows}, []
    parts = {part: rows.split(part, share, seed, by) for part in ("train", "test")}
    counts = {part: _count(con, chosen) for part, chosen in parts.items()}
    if not counts["train"] and counts["test"]:
        raise OptionError(f"--test {share:g} leaves no row to train on: the rows are too few, or all share a prompt")
    if not counts["test"]:
        return {"train": rows}, [
            f"no row fell into test: with so few, try a larger --test than {share:g} or another --seed"
        ]
    return parts, [
        f"test has no row where {column} is {value}: try another --seed or a larger --test"
        for column in _with_classes(rows)
        for value in _left_out(con, parts, column)
    ]


def _count(con: duckdb.DuckDBPyConnection, rows: Rows) -> int:
    try:
        found = con.execute(f"SELECT count(*) FROM ({rows.query}) distil_rows").fetchone()
    except duckdb.Error as error:
        reason = " ".join(str(error).split("\n")[0].split())
        raise DatabaseError(f"table {rows.table.name!r} cannot be read: {reason}") from None
    return int(found[0]) if found else 0


def _with_classes(rows: Rows) -> list[str]:
    return [column for column, type_ in rows.columns.items() if type_.id in ("boolean", "enum")]


def _left_out(con: duckdb.DuckDBPyConnection, parts: dict[str, Rows], column: str) -> list[str]:
    """Values that train has and test has not; none where they are many."""
    values = {
        part: {
            str(value)
            for (value,) in con.execute(
                f"SELECT DISTINCT {quoted(column)}::VARCHAR FROM ({rows.query}) distil_rows LIMIT {_CLASSES + 1}"
            ).fetchall()
            if value is not None
        }
        for part, rows in parts.items()
    }
    return sorted(values["train"] - values["test"]) if len(values["train"]) <= _CLASSES else []
