"""The Python functions as DuckDB holds them: by a bare pointer, so they are kept for the life of this process.

`doors_on(con)` gives a database's doors, made if it has none. `open` lets calls through to the functions of a session,
`shut` turns them away with a clear error: a door stays where it is when the connection that made it goes, so what would
be a crash is a sentence.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import duckdb
import pyarrow as pa

from distil_sql.errors import DatabaseError, OptionError

TOKEN = "distil_session"
"""The function that says which doors a database has: so connections to the same one are known to be that."""

_ALL: dict[str, Doors] = {}
_INSIDE: set[int] = set()


class Doors:
    """The doors of one database instance, for as long as this process lives."""

    def __init__(self) -> None:
        self.token = uuid.uuid4().hex
        self.pid = os.getpid()
        self._behind: Mapping[str, Callable[..., Any]] | None = None
        self._inside = 0
        self._changed = threading.Condition()
        self._held: list[Callable[..., Any]] = []

    def install(self, con: duckdb.DuckDBPyConnection, functions: Mapping[str, str]) -> None:
        """Create the functions, name and type; `side_effects=False`: a keyed ledger makes them as good as pure.

        The types are made by this connection: of a name alone, DuckDB 1.5 would open the process's default database.
        """
        create: Callable[..., object] = con.create_function  # the stubs know only the enums' own types

        def token() -> str:
            return self.token

        self._held.append(token)
        _ALL[self.token] = self
        for name, returns in functions.items():
            door = self._door(name)
            self._held.append(door)
            create(name, door, None, con.sqltype(returns), type="arrow", null_handling="special", side_effects=False)
        # last: where there is a token, there is everything
        create(TOKEN, token, [], con.sqltype("VARCHAR"), side_effects=False)

    def open(self, behind: Mapping[str, Callable[..., Any]]) -> None:
        """Let calls through to these functions."""
        with self._changed:
            self._behind = behind

    def shut(self, behind: Mapping[str, Callable[..., Any]]) -> None:
        """Let no more calls through to these functions; nothing where others are behind the doors by now."""
        with self._changed:
            if self._behind is behind:
                self._behind = None

    def emptied(self, timeout_s: float) -> bool:
        """Wait until no call is inside, but for this thread's own."""
        deadline = time.monotonic() + timeout_s
        own = threading.get_ident() in _INSIDE
        with self._changed:
            while self._inside > own and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(min(left, 0.1))
            return self._inside <= own

    def _door(self, name: str) -> Callable[..., Any]:
        def door(*columns: pa.ChunkedArray) -> pa.Array:
            check_process(self.pid)
            with self._changed:
                behind = self._behind
                if behind is None:
                    raise DatabaseError(
                        "the connection that had the tasks is closed: distil_sql.register(con) on one that is open"
                    )
                self._inside += 1
            me = threading.get_ident()
            _INSIDE.add(me)
            try:
                return behind[name](*columns)
            finally:
                _INSIDE.discard(me)
                with self._changed:
                    self._inside -= 1
                    self._changed.notify_all()

        return door


def doors_on(con: duckdb.DuckDBPyConnection) -> Doors | None:
    """The doors of this connection's database, asked for on a cursor; None where it has none."""
    with con.cursor() as cursor:
        try:
            found = cursor.execute(f"SELECT {TOKEN}()").fetchone()
        except duckdb.CatalogException:
            return None
    return _ALL.get(found[0]) if found else None


def is_inside() -> bool:
    """Whether this thread is in the middle of a call."""
    return threading.get_ident() in _INSIDE


def check_process(pid: int) -> None:
    """OptionError in a forked child: it has neither the threads nor the file of the process that opened it."""
    if os.getpid() != pid:
        raise OptionError(
            "tasks were in use before this process was forked, so they cannot be called in it: call them in the parent,"
            " or start workers with multiprocessing.get_context('spawn')"
        )
