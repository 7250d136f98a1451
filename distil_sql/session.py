"""One open database: its root connection, registry, ledger, engine and functions, made together and closed together.

`Session.open(path)` for a file or `:memory:`, `Session.on(con)` for a database that somebody else has opened. Everybody
works on `session.cursor()`; the root stays here and hears of nobody's closing but ours.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path

import duckdb

from distil_sql.engine import Budget, Engine, Policy, Tally
from distil_sql.errors import DatabaseError, Interrupted, OptionError
from distil_sql.ledger import Ledger
from distil_sql.library import install, stamp_of_new
from distil_sql.library.template import begin_as_copy
from distil_sql.registry import SUFFIXES, Registry
from distil_sql.resources import read_sql
from distil_sql.task import Task
from distil_sql.udf import Functions
from distil_sql.udf.macros import check_arguments, check_free, check_returns, create_macros, drop_macros
from distil_sql.udf.passes import Mode, Pass

SCHEMA_VERSION = "1"
_EMPTY_S = 5.0  # for calls inside the functions to hear that the session is being closed


class Session:
    """A database with tasks. Thread-safe through cursors; not usable in a forked child."""

    def __init__(self, root: duckdb.DuckDBPyConnection, path: str) -> None:
        self.root, self.path = root, path
        self.file = os.path.abspath(path) if path != ":memory:" else None  # wherever this process goes meanwhile
        self.pid = os.getpid()
        self.closed = False
        self.run_id = str(uuid.uuid4())
        self.running = threading.Lock()  # held by the one script that runs
        self.policy, self.budget, self.overrides = Policy(), Budget(), dict[str, str]()
        self.registry = Registry()
        self.ledger = Ledger(root)
        self.engine = Engine(root, self.ledger)
        self._default = Pass(Mode.BLOCKING, self.run_id, counts_hits=False)
        self.functions = Functions(self.registry, self.ledger, self.engine, self._default)
        try:
            self._prepare()
            self.functions.register(root)
            install(root, self.registry)
            root.execute("SELECT 1").fetchall()  # a result that is not read to its end would hold up all checkpoints
        except BaseException as error:
            self.close()
            if isinstance(error, duckdb.Error):
                raise database_error(path, error) from None
            raise

    @classmethod
    def open(cls, database: str | os.PathLike[str]) -> Session:
        """Open or create a database file; raises DatabaseError in one sentence where that cannot be."""
        path = os.fspath(database)
        return cls(open_database(path), path)

    @classmethod
    def on(cls, con: duckdb.DuckDBPyConnection) -> Session:
        """A session on the database of an open connection, which is neither used nor closed.

        Raises OptionError for a connection that is closed or in a transaction, DatabaseError for a database that cannot
        be written.
        """
        return cls(*_root_beside(con))

    @property
    def token(self) -> str:
        """What the database itself calls this session's functions."""
        assert self.functions.doors is not None
        return self.functions.doors.token

    def configure(self, policy: Policy | None, budget: Budget | None, overrides: Mapping[str, str]) -> None:
        """How calls are made where no script says otherwise; None and names left out stay as they are."""
        self.policy, self.budget = policy or self.policy, budget or self.budget
        self.overrides = {**self.overrides, **overrides}
        if self.running.acquire(blocking=False):  # else the script that runs does it, when it ends
            try:
                self.as_configured()
            finally:
                self.running.release()

    def anew(self) -> None:
        """From here on, calls outside of scripts belong to another run: failures that may pass are asked again."""
        self.run_id = self._default.run_id = str(uuid.uuid4())
        self._default.tally = Tally()

    def as_configured(self) -> None:
        """Back to that after a script."""
        self.engine.policy, self.engine.budget, self.registry.overrides = self.policy, self.budget, self.overrides

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A new connection to the same database, on which every task works (blocking); closed with the session."""
        return self.root.cursor()

    def connection(self) -> duckdb.DuckDBPyConnection:
        """The same for a user, whose it is to close."""
        return beside(self.root)

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
        if os.getpid() != self.pid or self.closed:
            return  # the parent's threads and file are the parent's to close
        self.closed = True
        self.functions.shut()
        self.engine.fail(Interrupted("the database was closed"))
        self.functions.emptied(_EMPTY_S)
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


def open_database(path: str) -> duckdb.DuckDBPyConnection:
    """DuckDB's connection to a file, which is made if need be; raises DatabaseError.

    A file that is made here can be read by DuckDB 1.5 and its shell, and holds what 1.5 can write into no older one (a
    function that returns an ENUM inside another type). Opened without any setting, so that this process
    may open it elsewhere with `duckdb.connect(path)`.
    """
    try:
        if path == ":memory:" or Path(path).exists():
            return duckdb.connect(path)
        begin_as_copy(path, stamp_of_new(), lambda original: Session(_new_database(original), original).close())
        return duckdb.connect(path) if Path(path).exists() else _new_database(path)
    except duckdb.Error as error:
        raise database_error(path, error) from None


def _new_database(path: str) -> duckdb.DuckDBPyConnection:
    duckdb.connect(path, config={"storage_compatibility_version": "v1.5.0"}).close()
    return duckdb.connect(path)


def beside(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Another connection to the same database that is not closed with this one, as a cursor would be."""
    return con.cursor().cursor()  # closing a connection closes its cursors, but knows none of a cursor that is gone


def _root_beside(con: duckdb.DuckDBPyConnection) -> tuple[duckdb.DuckDBPyConnection, str]:
    """A connection to the database of another that lives on when that is closed, and its path."""
    try:
        try:
            con.execute("BEGIN")
        except duckdb.TransactionException:
            raise OptionError(
                "this connection is inside a transaction, which would not see the tasks: COMMIT or ROLLBACK it, then"
                " register"
            ) from None
        con.execute("ROLLBACK")
        root = beside(con)
    except duckdb.ConnectionException:
        raise OptionError("this connection is closed: register one that is open") from None
    query = "SELECT path, readonly, type FROM duckdb_databases() WHERE database_name = current_database()"
    (found,) = root.execute(query).fetchall()
    path = found[0] or ":memory:"
    remedy = ""
    if found[1]:
        remedy = f"open read-only: open it with duckdb.connect({path!r})"
    elif found[2] != "duckdb":
        remedy = f"a database of type {found[2]}: connect to one of DuckDB's own and ATTACH this one"
    if remedy:
        root.close()
        raise DatabaseError(f"{path} is where tasks would keep their answers, but it is {remedy}")
    return root, path


def database_error(path: str, error: duckdb.Error) -> DatabaseError:
    """DuckDB's reason for not opening or writing a file, in one sentence with the remedy."""
    text = " ".join(str(error).split())
    if "Could not set lock" in text or "Conflicting lock" in text or "already open" in text:
        return DatabaseError(
            f"{path} is in use by another process: wait for it, or watch it with 'distil-sql status -d {path}'"
        )
    if "different configuration" in text:
        return DatabaseError(
            f"{path} is open in this process with other settings: call distil_sql.register(con) on that connection"
        )
    if "read-only" in text.lower() or "Permission denied" in text:
        return DatabaseError(f"{path} cannot be written: check its permissions")
    if "not a valid DuckDB database file" in text:
        return DatabaseError(f"{path} is not a DuckDB database")
    if "Cannot open file" in text and "No such file or directory" in text:
        return DatabaseError(f"{path} cannot be created: its folder does not exist")
    return DatabaseError(f"{path} cannot be opened: {text.split(': ', 1)[-1][:300]}")
