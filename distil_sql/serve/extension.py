"""DuckDB's client-server protocol in this process: the extensions `quack` and `httpfs`, found and loaded.

`load_quack(con)` takes them from where DuckDB keeps its extensions; else it puts them there, from the wheels of the
extra `serve` or, without those, from DuckDB's own site. So a shell of the same version finds them on this machine too.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import duckdb

from distil_sql.errors import MissingExtra
from distil_sql.quoting import text

_EXTENSIONS = ("httpfs", "quack")  # quack takes its random numbers from httpfs, and without it answers nobody
WHEELS_FOR = "1.5.3 to 1.5.5"
"""The DuckDB versions for which there are wheels; each holds the extension of its own version alone."""


def load_quack(con: duckdb.DuckDBPyConnection) -> None:
    """Load both; raises MissingExtra where they cannot be had."""
    for extension in _EXTENSIONS:
        _load(con, extension)


def wheel(extension: str) -> Path | None:
    """The file of an extension for this DuckDB in its wheel, if that is installed."""
    found = importlib.util.find_spec(f"duckdb_extension_{extension}")
    if found is None or found.origin is None:
        return None
    file = f"extensions/v{duckdb.__version__}/{extension}.duckdb_extension"
    path = Path(found.origin).parent / file
    return path if path.is_file() else None


def _load(con: duckdb.DuckDBPyConnection, extension: str) -> None:
    if _worked(con, f"LOAD {extension}") is None:
        return
    path = wheel(extension)
    if path is None:
        failed = _worked(con, f"INSTALL {extension}") or _worked(con, f"LOAD {extension}")
    elif _worked(con, f"INSTALL {text(str(path))}") is None:
        failed = _worked(con, f"LOAD {extension}")
    else:  # where DuckDB keeps its extensions nothing may be written
        failed = _worked(con, f"LOAD {text(str(path))}")
    if failed is not None:
        raise MissingExtra(
            f"DuckDB {duckdb.__version__} has no extension {extension!r} here ({failed}): serve once with a network, or"
            f" with a DuckDB that has it as a wheel ({WHEELS_FOR}), as pip install 'distil-sql[serve]' does"
        )


def _worked(con: duckdb.DuckDBPyConnection, statement: str) -> str | None:
    """None where the statement worked; else why it did not, in a few words."""
    try:
        con.execute(statement)
    except duckdb.Error as error:
        reason = str(error).split("\n", 1)[0].split(": ", 1)[-1]
        return reason.split(" at URL ")[0]
    return None
