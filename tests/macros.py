"""The shipped macros on a plain connection, and small tables to try them on."""

from __future__ import annotations

from pathlib import Path

import duckdb

FOLDER = Path(__file__).parent.parent / "sql" / "macros"


def with_macros(*names: str, database: str = ":memory:") -> duckdb.DuckDBPyConnection:
    """A connection on which the macros of these files are functions."""
    con = duckdb.connect(database)
    for name in names:
        con.execute((FOLDER / f"{name}.sql").read_text(encoding="utf-8"))
    return con


def graded(con: duckdb.DuckDBPyConnection, prompts: int = 40) -> None:
    """A table `graded`: three answers to each prompt, with scores, some of them equal or missing."""
    con.execute(
        """CREATE TABLE graded AS
        SELECT i // 3 AS id, 'Question ' || (i // 3) || ' „wie"? 🦆' AS instruction, 'answer ' || i AS response,
            {'score': CASE WHEN i % 11 = 5 THEN NULL ELSE (i * 7) % 5 + 1 END, 'reason': 'because'} AS verdict
        FROM range(?) t(i)""",
        [3 * prompts],
    )
