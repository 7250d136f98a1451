"""Rows into a file: Parquet, JSON lines or CSV after the name's ending, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from distil_sql.errors import DatabaseError, OptionError
from distil_sql.export.columns import portable
from distil_sql.export.formats import Rows
from distil_sql.quoting import name, text

ENDINGS = {
    ".parquet": "FORMAT parquet, COMPRESSION zstd",
    ".jsonl": "FORMAT json",
    ".ndjson": "FORMAT json",
    ".json": "FORMAT json, ARRAY true",
    ".csv": "FORMAT csv, HEADER true",
}
"""What DuckDB's COPY is told for each ending."""


def write_file(con: duckdb.DuckDBPyConnection, rows: Rows, output: str) -> int:
    """Write the rows to a file, or to wherever DuckDB can (`s3://…`); gives their number.

    A local file appears when it is complete. Raises OptionError for an ending it does not know, DatabaseError where
    the rows cannot be read or the file cannot be written.
    """
    ending = Path(output).suffix.lower()
    if ending not in ENDINGS:
        raise OptionError(f"{output} should end in {', '.join(ENDINGS)}, which says what to write")
    local = "://" not in output
    if local and not Path(output).resolve().parent.is_dir():
        raise OptionError(f"{output} cannot be written: its folder does not exist")
    goal = f"{output}.part" if local else output
    try:
        copied = con.execute(f"COPY ({portable_query(rows, ending)}) TO {text(goal)} ({ENDINGS[ending]})").fetchone()
        if local:
            os.replace(goal, output)
    except (duckdb.Error, OSError) as error:
        if local:
            Path(goal).unlink(missing_ok=True)
        reason = " ".join(str(error).split("\n")[0].split())
        raise DatabaseError(f"{output} could not be written: {reason}") from None
    return int(copied[0]) if copied else 0


def portable_query(rows: Rows, ending: str) -> str:
    """The rows with every column in a type that other programs read; in CSV, what is nested as JSON."""
    listed = []
    for column, type_ in rows.columns.items():
        plain = portable(type_)
        if ending == ".csv" and type_.id in ("list", "struct", "map", "array"):
            listed.append(f"to_json({name(column)})::VARCHAR AS {name(column)}")
        elif ending == ".parquet" and type_.id == "map":  # a list of key and value, which is what most readers know
            listed.append(f"map_entries({name(column)}) AS {name(column)}")
        elif plain != str(type_):
            listed.append(f"CAST({name(column)} AS {plain}) AS {name(column)}")
        else:
            listed.append(name(column))
    return f"SELECT {', '.join(listed)} FROM ({rows.query})"
