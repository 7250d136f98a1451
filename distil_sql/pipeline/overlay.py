"""A database in memory that lies over the user's own, for what must write nothing: preview and plan.

The user's database is attached read-only below it: tables are found there, tables that a script makes are made in
memory, models and tasks are copied, and the answers that its ledger holds are used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb

from distil_sql.check import apply_ddl, check_script
from distil_sql.errors import DistilError, OptionError
from distil_sql.pipeline.faults import sql_error
from distil_sql.pipeline.folder import statements_of
from distil_sql.quoting import name, text
from distil_sql.script import CreateModel, CreateTask, Source, Sql, Statement
from distil_sql.session import Session, database_error
from distil_sql.udf.macros import create_macros
from distil_sql.udf.passes import Pass

_SOURCE = "source"


def script_connection(session: Session, source: Source) -> duckdb.DuckDBPyConnection:
    """A connection as a script's statements expect it: files beside the script are found from anywhere."""
    con = session.cursor()
    con.execute("SET python_enable_replacements = false")  # a script reads tables, not the caller's variables
    if source.folder is not None and "," not in str(source.folder):
        con.execute(f"SET file_search_path = {text(str(source.folder))}")
    return con


class Overlay:
    """The overlay of one script, checked; close it by leaving the `with`."""

    def __init__(self, source: Source, database: str, overrides: dict[str, str] | None = None) -> None:
        self.statements = [_replacing(statement) for statement in statements_of(source)]
        self.session = Session.open(":memory:")
        try:
            self.con = script_connection(self.session, source)
            if Path(database).exists():
                self._attach(database)
            self.session.registry.overrides = overrides or {}
            check_script(self.statements, self.session.registry, self.con)
        except BaseException:
            self.session.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.session.close()

    def _attach(self, database: str) -> None:
        session, con = self.session, self.con
        try:
            con.execute(f"ATTACH {text(database)} AS {_SOURCE} (READ_ONLY)")
        except duckdb.Error as error:
            raise database_error(database, error) from None
        con.execute(f"SET search_path = 'memory.main,{_SOURCE}.main'")
        query = f"SELECT 1 FROM duckdb_tables() WHERE database_name = '{_SOURCE}' AND schema_name = 'distil'"
        if con.execute(query).fetchone() is None:
            return
        before = dict(session.registry.tasks)
        for table in ("models", "tasks"):
            con.execute(f"INSERT OR REPLACE INTO memory.distil.{table} BY NAME SELECT * FROM {_SOURCE}.distil.{table}")
        session.registry.load(session.root)
        for key, task in session.registry.tasks.items():
            if before.get(key) != task:
                create_macros(session.root, task)
        session.ledger.tables = ("distil.calls", f"{_SOURCE}.distil.calls")

    def prepare(self, statement: Statement) -> str | None:
        """Carry out, in memory, what later statements may need; a note where it is left out because it would write."""
        if not isinstance(statement, Sql):
            try:
                self.session.define(self.con, apply_ddl(statement, self.session.registry, self.con))
            except (OptionError, duckdb.Error) as error:
                raise statement.error(str(error)) from None
            return None
        if statement.tokens[0].is_word("COPY", "EXPORT", "CHECKPOINT", "VACUUM"):
            return "not run: it writes"
        try:
            self.con.execute(statement.text)
        except duckdb.Error as error:
            if "read-only" in str(error):
                return "not run: it writes the database itself"
            raise sql_error(statement, error) from None
        return None

    @contextmanager
    def during(self, statement: Sql, current: Pass) -> Iterator[None]:
        """A statement's own query, in a pass; what goes wrong is told with the statement's place."""
        try:
            with self.session.functions.passes.during(self.con, current):
                yield
        except duckdb.Error as error:
            if isinstance(current.error, DistilError):
                raise type(current.error)(f"{statement.source.file}:{statement.line}: {current.error}") from None
            raise sql_error(statement, error) from None

    def make(self, aim: str, query: str) -> None:
        """Make a table in memory in the place of one that the script makes."""
        self.con.execute(f"CREATE OR REPLACE TABLE memory.main.{name(aim.split('.')[-1].strip(chr(34)))} AS {query}")


def _replacing(statement: Statement) -> Statement:
    """What a run has made already may be made again here."""
    if isinstance(statement, CreateModel | CreateTask):
        return replace(statement, replace=True)
    return statement
