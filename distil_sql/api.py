"""The Python way in: `connect` for a DuckDB connection on which tasks work, `run` for a script.

Sessions are kept by file, so that any number of connections of this process share one engine, one ledger and one set
of limits. A session ends when the last connection that `connect` gave out is garbage-collected, or with the process.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
import weakref
from collections.abc import Callable

import duckdb

from distil_sql.errors import OptionError
from distil_sql.pipeline import RunOptions, read_source, run_in
from distil_sql.session import Session
from distil_sql.status import RunState
from distil_sql.task.python import TaskFunction

_lock = threading.Lock()
_sessions: dict[str, Session] = {}
_users: dict[str, int] = {}
_abandoned: queue.SimpleQueue[str] = queue.SimpleQueue()
_by_connection: weakref.WeakKeyDictionary[duckdb.DuckDBPyConnection, Session] = weakref.WeakKeyDictionary()


def connect(database: str | os.PathLike[str] = ":memory:") -> duckdb.DuckDBPyConnection:
    """An ordinary DuckDB connection on which every task is a function; its calls are waited for and kept.

    `database` is a file, made if need be, or `:memory:`. Raises DatabaseError.
    """
    session, key = _session(database)
    try:
        con = session.cursor()
    except BaseException:
        _release(key)
        raise
    with _lock:
        _by_connection[con] = session
    weakref.finalize(con, _release, key)
    return con


def run(
    script: str | os.PathLike[str],
    database: str | os.PathLike[str] | duckdb.DuckDBPyConnection = ":memory:",
    *,
    generator: str | None = None,
    labeller: str | None = None,
    on_error: str = "null",
    max_error_ratio: float = 0.5,
    restart: bool = False,
    max_cost: float | None = None,
    max_tokens_total: int | None = None,
    max_calls: int | None = None,
    on_progress: Callable[[RunState], None] | None = None,
) -> RunState:
    """Run a script: a path, or SQL text. `database` is a file or a connection that `connect` gave.

    `generator` and `labeller` name the models to use in place of those called so. `on_error` is 'null' (a failed row is
    NULL, with its reason in `distil.calls`) or 'fail'. Run again after a stop to resume; `restart` begins anew.
    `max_cost` (USD), `max_tokens_total` and `max_calls` stop the run before it spends more.
    Raises ScriptError, RunError, ModelError, DatabaseError, Interrupted.
    """
    if on_error not in ("null", "fail"):
        raise OptionError(f"on_error is 'null' or 'fail', not {on_error!r}")
    options = RunOptions(generator, labeller, on_error, max_error_ratio, restart, max_cost, max_tokens_total, max_calls)
    source = read_source(script)
    if isinstance(database, duckdb.DuckDBPyConnection):
        session = _by_connection.get(database)
        if session is None:
            raise OptionError("this connection has no tasks: take one from distil_sql.connect()")
        return run_in(session, source, options, on_progress)
    session, key = _session(database)
    try:
        return run_in(session, source, options, on_progress)
    finally:
        _release(key)


def register_task(con: duckdb.DuckDBPyConnection, task: TaskFunction) -> None:
    """Make a `@distil_sql.task` a function of SQL on a connection that `connect` gave, and on all to the same database.

    It lasts for as long as the database is open here: functions of Python's cannot be stored. Registering it again
    replaces it. Raises OptionError where its name or one of its types cannot be.
    """
    session = _by_connection.get(con)
    if session is None:
        raise OptionError("this connection has no tasks: take one from distil_sql.connect()")
    if not isinstance(task, TaskFunction):
        raise OptionError(f"{task!r} is no task: put @distil_sql.task(…) above the function")
    session.define_in_python(task.task)


def _session(database: str | os.PathLike[str]) -> tuple[Session, str]:
    """The session of a file, opened if this process has none, with a user more; every `:memory:` is its own."""
    text = os.fspath(database)
    with _lock:
        _close_abandoned()
        key = f":memory:{len(_sessions)}:{os.urandom(4).hex()}" if text == ":memory:" else os.path.abspath(text)
        session = _sessions.get(key)
        if session is None or session.pid != os.getpid():
            session = _sessions[key] = Session.open(text)
            _users[key] = 0
        _users[key] += 1
        return session, key


def _release(key: str) -> None:
    """One user less. Finalizers call this too, and they run anywhere: where the lock is held, in a session's thread."""
    _abandoned.put(key)
    if not threading.current_thread().name.startswith("distil-") and _lock.acquire(blocking=False):
        try:
            _close_abandoned()
        finally:
            _lock.release()


def _close_abandoned() -> None:
    """Close the sessions that have no user left; the caller holds the lock."""
    while not _abandoned.empty():
        key = _abandoned.get()
        if key not in _sessions:
            continue
        _users[key] -= 1
        if _users[key] <= 0:
            del _users[key]
            _sessions.pop(key).close()


@atexit.register
def _close_all() -> None:
    with _lock:
        sessions = list(_sessions.values())
        _sessions.clear()
    for session in sessions:
        session.close()
