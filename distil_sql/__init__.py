"""distil-sql: build datasets with and for language models in SQL.

import distil_sql
con = distil_sql.connect("data.duckdb")            # an ordinary DuckDB connection on which every task works
distil_sql.run("pipeline.sql", database="data.duckdb")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["DistilError", "__version__", "connect", "register", "register_task", "run", "sql", "task"]

from distil_sql.errors import DistilError

if TYPE_CHECKING:
    from distil_sql.api import connect, register, register_task, run, sql
    from distil_sql.task.python import task


def __getattr__(name: str) -> object:
    # DuckDB and Arrow are loaded when they are needed, so that `distil-sql --help` is quick
    if name in ("connect", "register", "register_task", "run", "sql"):
        from distil_sql import api

        return getattr(api, name)
    if name == "task":
        import importlib

        return importlib.import_module("distil_sql.task")  # callable: see its end
    raise AttributeError(f"module 'distil_sql' has no attribute {name!r}")
