"""Which sessions are open in this process, and who uses them: one session for each database, whoever opened it.

`use_of(database)` gives a use of a session; `watch(con, use)` ends it when the connection is closed or collected,
`end_use(use)` at once. A session is closed with its last use, or with the process; a forked child has none.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import queue
import threading
import time
import weakref
from collections.abc import Iterator

import duckdb
import pyarrow as pa

from distil_sql.errors import OptionError
from distil_sql.interrupt import on_interrupt
from distil_sql.notebook import watcher
from distil_sql.session import Session, open_database
from distil_sql.udf.doors import check_process, doors_on, is_inside

_COME_BACK_S = 0.5


class Use:
    """One use of a session: by a connection, or by a script that runs. Compared by identity."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.probe: duckdb.DuckDBPyConnection | None = None


_lock = threading.Lock()
_sessions: dict[str, Session] = {}  # by the token that the database itself knows
_uses: dict[str, set[Use]] = {}
_ended: queue.SimpleQueue[Use] = queue.SimpleQueue()
_used: int | None = None  # the process that first opened a session
_by_connection: weakref.WeakKeyDictionary[duckdb.DuckDBPyConnection, Session] = weakref.WeakKeyDictionary()


def session_of(con: duckdb.DuckDBPyConnection) -> Session:
    """The session of a connection from `connect`, one that was registered, or a cursor of either; else OptionError."""
    session = _by_connection.get(con) if isinstance(con, duckdb.DuckDBPyConnection) else None
    if session is None or session.closed:
        with _locked():
            session = _session_on(con)
    if session is None:
        raise OptionError(
            "this connection has no tasks: call distil_sql.register(con), or take one from distil_sql.connect()"
        )
    check_process(session.pid)
    return session


def use_of(database: str | duckdb.DuckDBPyConnection) -> Use:
    """A use of the session of a file or connection, opened if this process has none; every `:memory:` is its own."""
    _check_process()
    on_interrupt(_interrupt)
    with _locked():
        _close_unused()
        if isinstance(database, str):
            session = _session_at(database)
        elif (known := _session_on(database)) is not None:
            session = known
        else:
            session = Session.on(database)
        _sessions[session.token] = session
        if (shown := watcher()) is not None and session.token not in _uses:
            session.functions.watcher = shown
        one = Use(session)
        _uses.setdefault(session.token, set()).add(one)
        return one


def _session_at(path: str) -> Session:
    """The session of a file, found by its path or by what DuckDB holds open in this process; else a new one."""
    if path == ":memory:":
        return Session.open(path)
    known = os.path.abspath(path)
    for session in _sessions.values():
        if session.file == known:
            return session
    root = open_database(path)
    found = _session_on(root)
    if found is None:
        return Session(root, path)
    root.close()
    return found


def _session_on(con: duckdb.DuckDBPyConnection) -> Session | None:
    """The session of a connection's database, if it has one that is open."""
    try:
        doors = doors_on(con)
    except duckdb.ConnectionException:
        raise OptionError("this connection is closed: take one that is open") from None
    if doors is None:
        return None
    check_process(doors.pid)
    return _sessions.get(doors.token)


def _interrupt() -> None:
    for session in list(_sessions.values()):
        session.functions.interrupt()


def watch(con: duckdb.DuckDBPyConnection, use: Use) -> None:
    """End the use when the connection is closed or collected.

    DuckDB tells nobody when a connection is closed; but it closes the cursors, and lets go of what they hold.
    A connection that is watched already needs no second use, which ends here.
    """
    if _by_connection.get(con) is use.session:
        end_use(use)
        return
    mark = pa.table({"open": [True]})
    for watched in (mark, con):
        weakref.finalize(watched, end_use, use).atexit = False  # type: ignore[misc, unused-ignore]  # older stubs
    use.probe = con.cursor()
    use.probe.register("distil_open", mark)  # a temporary view, which no other connection sees
    with _locked():
        _by_connection[con] = use.session


def end_use(use: Use) -> None:
    """A use has ended. Finalizers call this, and they run anywhere: where the lock is held, in a session's thread."""
    _ended.put(use)
    if os.getpid() != use.session.pid:
        return
    if is_inside() or threading.current_thread().name.startswith("distil-"):
        with contextlib.suppress(RuntimeError):  # the process is ending
            threading.Thread(target=_close_soon, name="distil-close").start()
    else:
        _close_if_free()


def _close_soon() -> None:
    with _locked():
        _close_unused()


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Hold the lock, and afterwards close what has ended meanwhile."""
    try:
        with _lock:
            yield
    finally:
        _close_if_free()


def _close_if_free() -> None:
    """Close the sessions that have no use left, or leave that to the thread that holds the lock."""
    while not _ended.empty() and _lock.acquire(blocking=False):
        try:
            _close_unused()
        finally:
            _lock.release()


def _close_unused() -> None:
    """Close the sessions that have no use left; the caller holds the lock."""
    while not _ended.empty():
        use = _ended.get()
        token = use.session.token
        uses = _uses.get(token, set())
        if use not in uses:
            continue
        uses.discard(use)
        use.probe = None
        if not uses:
            del _uses[token]
            _sessions.pop(token).close()


@atexit.register
def _close_all() -> None:
    with _lock:
        sessions = list(_sessions.values())
        _sessions.clear()
    busy = any(session.functions.is_busy for session in sessions)
    for session in sessions:
        session.close()
    if busy:  # a thread that comes back from DuckDB when Python is gone would abort the process
        time.sleep(_COME_BACK_S)


def _forget_parents() -> None:
    """In a forked child: what it has of its parent's sessions stays untouched, to the end.

    DuckDB would wait for threads that are not here, and write into the parent's file.
    """
    global _lock, _sessions, _uses
    _lock = threading.Lock()
    for inherited in (_sessions, _uses):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
    _sessions, _uses = {}, {}


def _check_process() -> None:
    """OptionError in a forked child of a process that has used tasks: what speaks to servers cannot be forked."""
    global _used
    _used = _used or os.getpid()
    check_process(_used)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents)
