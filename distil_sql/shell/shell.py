"""The shell itself: reads what is typed, runs it, shows what comes back."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import duckdb
import pyarrow as pa

from distil_sql.engine import Budget, Policy
from distil_sql.errors import DatabaseError, DistilError, Interrupted, OptionError
from distil_sql.script import Source, Sql, Statement, read_script
from distil_sql.script.anatomy import target
from distil_sql.session import Session
from distil_sql.shell.catalog import Catalog
from distil_sql.shell.commands import run_command, suggest_command
from distil_sql.shell.completion import Suggestion, suggest
from distil_sql.shell.console import Console
from distil_sql.shell.execution import Statements
from distil_sql.shell.output import Look, rendered
from distil_sql.shell.reading import Dot, is_blank, is_whole, read
from distil_sql.status import Line, now

INPUT = "<input>"
"""The name of what is typed at the prompt."""

_READS = ("SELECT", "FROM", "WITH", "VALUES", "TABLE", "DESCRIBE", "DESC", "SHOW", "SUMMARIZE", "EXPLAIN", "PIVOT")
_WORDS = {"quit": ".quit", "exit": ".quit", "help": ".help"}


class Leave(Exception):
    """The user wants out."""


@dataclass(frozen=True)
class How:
    """How calls are made: models named for a kind of task, what all statements together may spend, when to stop."""

    overrides: Mapping[str, str] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)
    policy: Policy = field(default_factory=Policy)


class Shell:
    """One database after another, and what was set meanwhile. Use it in a `with`: it closes the database."""

    def __init__(self, database: str, console: Console, how: How | None = None, look: Look | None = None) -> None:
        self.console, self.how, self.look = console, how or How(), look or Look()
        self.timer = False
        self._pieces: Iterable[str] = []
        self._reading: list[str] = []
        self._catalog: Catalog | None = None
        self.session: Session
        self.statements: Statements
        self._use(Session.open(database))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # -- reading ------------------------------------------------------------------------------------------------------

    def feed(self, lines: Iterable[str], file: str) -> None:
        """Run dot commands and statements up to the first that fails, whose error it raises; Leave after `.quit`."""
        for item in read(lines, file):
            if isinstance(item, Dot):
                self._dot(item)
            else:
                self._sql(item)

    def interact(self, ask: Callable[[str], str]) -> None:
        """Ask for input and run it until the user leaves; `ask` takes the prompt, and raises EOFError at the end."""
        while True:
            try:
                typed = ask(f"distil{self._mark}> ")
                typed = _WORDS.get(typed.strip().rstrip(";").lower(), typed)
                self.feed(typed.splitlines(keepends=True), INPUT)
            except (EOFError, Leave):
                return
            except KeyboardInterrupt:  # while a result was written
                self.console.clear()
            except DistilError as error:
                self.console.error(error, typed)

    @property
    def _mark(self) -> str:
        """How the prompt shows that a transaction is open, or can only be rolled back."""
        return "!" if self.statements.aborted else "*" if self.statements.in_transaction else ""

    @staticmethod
    def accepts(typed: str) -> bool:
        """Whether what is typed so far is whole: a dot command, statements up to a semicolon, a way out."""
        return typed.lstrip().startswith(".") or is_whole(typed) or typed.strip().lower() in _WORDS

    def complete(self, before: str, after: str) -> list[Suggestion]:
        """What may stand at the cursor."""
        if before.startswith("."):
            return suggest_command(before, self.catalog)
        return suggest(before, self.catalog, after)

    def functions(self) -> set[str]:
        """The lower-case names of the functions that tasks make."""
        return {function.lower() for function in self.session.registry.functions()}

    @property
    def catalog(self) -> Catalog:
        """What there is to complete, looked up once between two statements."""
        if self._catalog is None:
            try:
                self._catalog = Catalog.read(self.statements.con, self.session.registry)
            except duckdb.Error:  # an aborted transaction answers nothing
                return Catalog(tasks=self.session.registry.tasks, models=self.session.registry.models)
        return self._catalog

    # -- running ------------------------------------------------------------------------------------------------------

    def _dot(self, command: Dot) -> None:
        try:
            run_command(self, command.text)
        except duckdb.Error as error:
            reason = " ".join(str(error).split("\n")[0].split())
            raise DatabaseError(f"{command.place}{command.text}: {reason}") from None
        except OptionError as error:
            raise OptionError(f"{command.place}{error}") from None
        finally:
            self.console.clear()

    def _sql(self, source: Source) -> None:
        if is_blank(source.text.replace(";", " ")) and is_whole(source.text):
            return  # semicolons alone
        for statement in read_script(source):
            self.execute(statement)

    def execute(self, statement: Statement) -> None:
        """Run one statement and show its rows; raises what `Statements.execute` raises."""
        line = Line(1, statement.text, target(statement) if isinstance(statement, Sql) else None)
        self._pieces, self._catalog = [], None
        line.started_at, started = now(), time.perf_counter()
        aborted = self.statements.aborted
        try:
            self.statements.execute(statement, line, self._fetch, self.console.progress)
        except Interrupted:
            tally = line.tally
            kept = f": {tally.done:,} of {tally.total:,} calls are answered and kept" if tally.total else ""
            raise Interrupted(f"interrupted{kept}") from None
        finally:
            self.console.clear()
            if self.statements.lost_transaction:
                self.console.note("the open transaction is rolled back")
        if aborted and not self.statements.in_transaction:
            self.console.note("the transaction had failed: it is rolled back")
        for piece in self._pieces:
            self.console.write(piece)
        self.console.ended(line)
        if self.timer:
            self.console.note(f"Run Time (s): real {time.perf_counter() - started:.3f}")

    def _fetch(self, con: duckdb.DuckDBPyConnection, statement: Sql, line: Line) -> None:
        """Run a statement's text; keep its rows as text, or how many it wrote."""
        self._pieces = []
        returns = any(token.is_word("RETURNING") for token in statement.tokens)
        if target(statement) is not None and not returns:
            found = con.execute(statement.text)
            if [column[0] for column in found.description or ()] == ["Count"]:
                line.tally.rows = sum(row[0] for row in found.fetchall())
            return
        relation = _related(con, statement.text)
        if relation is None:  # DuckDB 1.5 of what gives no rows; 2.0 says Success
            return
        if statement.verb in _READS or relation.columns not in (["Success"], ["Count"]):
            self._pieces = rendered(relation, self.look, self.console.width)

    # -- for the commands ---------------------------------------------------------------------------------------------

    def show(self, columns: dict[str, list[object]]) -> None:
        """Show rows of the shell's own, in the mode that is set."""
        table = pa.table({name: pa.array(values) for name, values in columns.items()})
        self.show_relation(self.statements.con.from_arrow(table))

    def show_relation(self, relation: duckdb.DuckDBPyRelation) -> None:
        """Show what a query of the shell's own gives."""
        for piece in rendered(relation, self.look, self.console.width):
            self.console.write(piece)

    def read_file(self, source: Source) -> None:
        """Run a file's statements and commands here; raises OptionError for one that reads itself."""
        path = os.path.abspath(source.file)
        if path in self._reading:
            raise OptionError(f"{source.file} reads itself")
        self._reading.append(path)
        try:
            with self.statements.beside(source.folder):
                self.feed(source.text.splitlines(keepends=True), source.file)
        finally:
            self._reading.pop()

    def open(self, database: str) -> None:
        """Go over to another database; raises DatabaseError, and stays, where it cannot be opened."""
        if database != ":memory:" and os.path.abspath(database) == self.session.file:
            return
        session = Session.open(database)
        self.close()
        self._use(session)

    def close(self) -> None:
        """Close the database; a transaction that is still open is rolled back."""
        if self.statements.in_transaction:
            self.console.note("the open transaction was rolled back")
        self.statements.close()
        self.session.close()

    def _use(self, session: Session) -> None:
        session.configure(self.how.policy, self.how.budget, self.how.overrides)
        self.session, self._catalog = session, None
        self.statements = Statements(session)

    def leave(self) -> None:
        """End the shell."""
        raise Leave


def _related(con: duckdb.DuckDBPyConnection, query: str) -> duckdb.DuckDBPyRelation | None:
    """A statement as a relation. Where it cannot be bound, DuckDB tells the place only to a statement that is run."""
    try:
        return con.sql(query)
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException) as error:
        try:
            con.execute(query)
        except duckdb.Error as placed:
            raise (placed if "\nLINE " in str(placed) else error) from None
        return con.from_arrow(con.to_arrow_table())  # what can be run and yet be no relation
