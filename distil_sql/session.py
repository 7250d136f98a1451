"""One open database: its root connection, registry, ledger, engine and functions, made together and closed together.

`Session.open(path)` for a file or `:memory:`. Everybody else works on `session.cursor()`; the root stays here, because
DuckDB crashes when a connection that registered a Python function goes away while the database lives.
"""

from __future__ import annotations

import os
import threading
import uuid
from pathlib import Path

import duckdb

from distil_sql.engine import Engine
from distil_sql.errors import DatabaseError
from distil_sql.ledger import Ledger
from distil_sql.library import install
from distil_sql.registry import SUFFIXES, Registry
from distil_sql.resources import read_sql
from distil_sql.task import Task
from distil_sql.udf import Functions
from distil_sql.udf.macros import check_arguments, check_free, check_returns, create_macros, drop_macros
from distil_sql.udf.passes import Mode, Pass

SCHEMA_VERSION = "1"


class Session:
    """A database with tasks. Thread-safe through cursors; not usable in a forked child."""

    def __init__(self, root: duckdb.DuckDBPyConnection, path: str) -> None:
        self.root, self.path = root, path
        self.pid = os.getpid()
        self.run_id = str(uuid.uuid4())
        self.running = threading.Lock()  # held by the one script that runs
        self.registry = Registry()
        self.ledger = Ledger(root)
        self.engine = Engine(root, self.ledger)
        try:
            self._prepare()
            self.functions = Functions(
                self.registry, self.ledger, self.engine, Pass(Mode.BLOCKING, self.run_id, counts_hits=False)
            )
            self.functions.register(root)
            install(root, self.registry)
        except BaseException as error:
            self.close()
            if isinstance(error, duckdb.Error):
                raise database_error(path, error) from None
            raise

    @classmethod
    def open(cls, database: str | os.PathLike[str]) -> Session:
        """Open or create a database file; raises DatabaseError in one sentence where that cannot be."""
        path = os.fspath(database)
        config: dict[str, str | bool | int | float | list[str]] = {}
        if path != ":memory:" and not Path(path).exists() and duckdb.__version__ >= "2":
            config["storage_compatibility_version"] = "v1.5.0"  # so that DuckDB 1.5 and its shell can read it
        try:
            root = duckdb.connect(path, config=config)
        except duckdb.Error as error:
            raise database_error(path, error) from None
        return cls(root, path)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A new connection to the same database, on which every task works (blocking)."""
        return self.root.cursor()

    def define(self, con: duckdb.DuckDBPyConnection, task: Task | None) -> None:
        """Write or remove a task's functions after the registry has changed."""
        if task is None:
            return
        if self.registry.tasks.get(task.name.lower()) is None:
            drop_macros(con, task)
        else:
            create_macros(con, task)

    def define_in_python(self, task: Task) -> None:
        """Add or replace a task that no table holds."""
        old = self.registry.tasks.get(task.name.lower())
        with self.cursor() as con:
            check_arguments(con, task)
            check_returns(con, task)
            check_free(con, *(task.name + suffix for suffix in SUFFIXES))
            create_macros(con, self.registry.put_task(None, task, replace_it=old is not None and old.in_python))

    def close(self) -> None:
        """Commit what is finished, stop the engine, close the database. Idempotent."""
        if os.getpid() != self.pid:
            return  # the parent's threads and file are the parent's to close
        self.engine.close()
        self.ledger.close()
        self.root.close()

    def _prepare(self) -> None:
        exists = self.root.execute("SELECT count(*) FROM duckdb_schemas() WHERE schema_name = 'distil'").fetchone()
        self.root.execute(read_sql("schema.sql"))
        found = self.root.execute("SELECT value FROM distil.meta WHERE key = 'schema_version'").fetchone()
        if found is None:
            self.root.execute("INSERT INTO distil.meta VALUES ('schema_version', ?)", [SCHEMA_VERSION])
        elif found[0] > SCHEMA_VERSION and exists:
            raise DatabaseError(
                f"{self.path} was written by a newer distil-sql: upgrade with pip install -U distil-sql"
            )
        self.registry.load(self.root)


def database_error(path: str, error: duckdb.Error) -> DatabaseError:
    """DuckDB's reason for not opening or writing a file, in one sentence with the remedy."""
    text = " ".join(str(error).split())
    if "Could not set lock" in text or "Conflicting lock" in text or "already open" in text:
        return DatabaseError(
            f"{path} is in use by another process: wait for it, or watch it with 'distil-sql status -d {path}'"
        )
    if "read-only" in text.lower() or "Permission denied" in text:
        return DatabaseError(f"{path} cannot be written: check its permissions")
    if "not a valid DuckDB database file" in text:
        return DatabaseError(f"{path} is not a DuckDB database")
    if "Cannot open file" in text and "No such file or directory" in text:
        return DatabaseError(f"{path} cannot be created: its folder does not exist")
    return DatabaseError(f"{path} cannot be opened: {text.split(': ', 1)[-1][:300]}")
