"""The Python way in: `connect` or `register` for a DuckDB connection on which tasks work, `run` for a script.

Any number of connections to one database share one engine, one ledger and one set of limits, for as long as one that
`connect` gave or `register` took is open.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import duckdb

from distil_sql.engine import Budget, Policy
from distil_sql.errors import OptionError
from distil_sql.notebook import progress
from distil_sql.pipeline import RunOptions, read_source, run_in
from distil_sql.pipeline.ahead import ask_ahead
from distil_sql.sharing import end_use, session_of, use_of, watch
from distil_sql.status import RunState
from distil_sql.task.python import TaskFunction

__all__ = ["connect", "register", "register_task", "run", "session_of", "sql"]


def connect(database: str | os.PathLike[str] = ":memory:") -> duckdb.DuckDBPyConnection:
    """An ordinary DuckDB connection on which every task is a function; its calls are waited for and kept.

    `database` is a file, made if need be, or `:memory:`. Close it, or leave a `with`, to let go of the file.
    Raises DatabaseError.
    """
    use = use_of(os.fspath(database))
    try:
        con = use.session.connection()
        watch(con, use)
    except BaseException:
        end_use(use)
        raise
    return con


def register(
    con: duckdb.DuckDBPyConnection,
    *,
    generator: str | None = None,
    labeller: str | None = None,
    embedder: str | None = None,
    max_cost: float | None = None,
    max_tokens_total: int | None = None,
    max_calls: int | None = None,
    on_error: str | None = None,
    max_error_ratio: float | None = None,
) -> duckdb.DuckDBPyConnection:
    """Make every task a function on a connection that you opened with `duckdb.connect`; gives the same connection.

    The tasks work on all connections and cursors to that database, for as long as one that was registered is open:
    register each that is to outlive the others. When the last of them is closed (`con.close()` or the end of a `with`)
    the file is free. Registering again changes nothing but the options that are given. A result of this connection that
    has not been fetched is lost.

    `generator`, `labeller` and `embedder` name the models to use in place of those called so. `max_cost` (USD),
    `max_tokens_total` and `max_calls` limit what all queries together may spend from now on; `on_error` ('null' or
    'fail') and `max_error_ratio` (0.5) say when failed rows fail the query, as `run` has them.
    Raises OptionError for a connection that is closed, in a transaction or none, DatabaseError for a database that is
    read-only, not DuckDB's own or of a newer distil-sql.
    """
    if not isinstance(con, duckdb.DuckDBPyConnection):
        raise OptionError(f"register takes a DuckDB connection, as duckdb.connect() gives, not {type(con).__name__}")
    _check_policy(on_error)
    use = use_of(con)
    try:
        use.session.configure(
            None
            if on_error is None and max_error_ratio is None
            else Policy(on_error or "null", 0.5 if max_error_ratio is None else max_error_ratio),
            Budget(max_cost, max_tokens_total, max_calls)
            if (max_cost, max_tokens_total, max_calls) != (None, None, None)
            else None,
            {
                kind: name
                for kind, name in (("generator", generator), ("labeller", labeller), ("embedder", embedder))
                if name
            },
        )
        watch(con, use)
    except BaseException:
        end_use(use)
        raise
    return con


def run(
    script: str | os.PathLike[str],
    database: str | os.PathLike[str] | duckdb.DuckDBPyConnection = ":memory:",
    *,
    generator: str | None = None,
    labeller: str | None = None,
    embedder: str | None = None,
    on_error: str = "null",
    max_error_ratio: float = 0.5,
    restart: bool = False,
    max_cost: float | None = None,
    max_tokens_total: int | None = None,
    max_calls: int | None = None,
    on_progress: Callable[[RunState], None] | None = None,
) -> RunState:
    """Run a script: the path of a file or folder, or SQL text.

    `database` is a file or a connection with tasks (`connect`, `register`).
    `generator`, `labeller` and `embedder` name the models to use in place of those called so. `on_error` is 'null' (a
    failed row is NULL, with its reason in `distil.calls`) or 'fail'. Run again after a stop to resume; `restart` begins
    anew.
    `max_cost` (USD), `max_tokens_total` and `max_calls` stop the run before it spends more. `on_progress` is told of
    the run a few times a second; without it, a notebook shows it under the cell.
    Raises ScriptError, RunError, ModelError, DatabaseError, Interrupted.
    """
    _check_policy(on_error)
    options = RunOptions(
        generator, labeller, on_error, max_error_ratio, restart, max_cost, max_tokens_total, max_calls, True, embedder
    )
    source = read_source(script)
    on_progress = on_progress or progress()
    if isinstance(database, duckdb.DuckDBPyConnection):
        return run_in(session_of(database), source, options, on_progress)
    use = use_of(os.fspath(database))
    try:
        return run_in(use.session, source, options, on_progress)
    finally:
        end_use(use)


def sql(query: str, con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
    """A SELECT as a relation of a connection with tasks, as `con.sql(query)` gives it, with all its calls made.

    DuckDB hands a function 2,048 rows at a time, so a query that waits for its calls idles at the slowest reply of each
    chunk, and one whose WHERE leaves few rows of a chunk has few calls in flight. Here every call of the query is made
    first, as many at once as the model takes; the relation then reads the answers from the ledger. It is for queries
    whose rows are all wanted: what a later `.filter` or `.limit` drops has been asked for.
    Raises OptionError for anything but one SELECT, RunError or ModelError where calls stopped, and DuckDB's errors.
    """
    session = session_of(con)
    scans = con.execute("SELECT current_setting('python_scan_all_frames')").fetchone()
    con.execute("SET python_scan_all_frames = true")  # the caller's data frames are tables to the query
    try:
        ask_ahead(session, con, query)
        return con.sql(query)
    finally:
        con.execute(f"SET python_scan_all_frames = {scans[0] if scans else False}")


def register_task(con: duckdb.DuckDBPyConnection, task: TaskFunction) -> None:
    """Make a `@distil_sql.task` a function of SQL on a connection with tasks, and on all to the same database.

    It lasts for as long as the database is open here: functions of Python's cannot be stored. Registering it again
    replaces it. Raises OptionError where its name or one of its types cannot be.
    """
    session = session_of(con)
    if not isinstance(task, TaskFunction):
        raise OptionError(f"{task!r} is no task: put @distil_sql.task(…) above the function")
    session.define_in_python(task.task)


def _check_policy(on_error: str | None) -> None:
    if on_error not in (None, "null", "fail"):
        raise OptionError(f"on_error is 'null' or 'fail', not {on_error!r}")
