"""An invocation of dbt as a run of ours: a row of `distil.runs`, and one of `distil.status` for each model asked for.

`distil-sql status` shows it from another shell meanwhile, and everybody afterwards.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import duckdb

from distil_sql.errors import Interrupted
from distil_sql.session import Session
from distil_sql.status import Journal, Line, RunState, now, remove_sidecar, write_sidecar

_SIDECAR_EVERY_S = 1.0


class Record:
    """What one invocation has asked for; nothing is written before its first model."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._state = RunState(session.run_id, "dbt", "running", [], now())
        self._journal: Journal | None = None
        self._lock = threading.Lock()
        self._told = time.monotonic()

    @contextlib.contextmanager
    def line(self, model: str, query: str) -> Iterator[Line]:
        """A model's row for as long as its calls are asked for and answered."""
        with self._session.cursor() as con:
            with self._lock:
                line = Line(len(self._state.lines) + 1, query, model, "running", "demand", started_at=now())
                self._add(con, line)
            try:
                yield line
                line.state = "done"
            except BaseException as error:
                line.state = "interrupted" if isinstance(error, Interrupted) else "failed"
                line.note = None if isinstance(error, Interrupted) else str(error)
                raise
            finally:
                line.finished_at = now()
                with self._lock, contextlib.suppress(duckdb.Error):  # how the model went is what dbt says
                    assert self._journal is not None
                    self._journal.write(con, line)

    def tick(self) -> None:
        """Called while calls are waited for: tell others how it goes, now and then."""
        with self._lock:
            if time.monotonic() > self._told + _SIDECAR_EVERY_S:
                self._told = time.monotonic()
                write_sidecar(self._session.path, self._state)

    def end(self) -> None:
        """The invocation is over."""
        with self._lock:
            journal, self._journal = self._journal, None
            if journal is None or self._session.closed:
                return
            states = [line.state for line in self._state.lines]
            with contextlib.suppress(duckdb.Error), self._session.cursor() as con:
                journal.finish(con, next((state for state in ("interrupted", "failed") if state in states), "done"))
        remove_sidecar(self._session.path)

    def _add(self, con: duckdb.DuckDBPyConnection, line: Line) -> None:
        if self._journal is None:
            self._journal = Journal.begin(con, self._state.script, "", [line], run_id=self._state.run_id)
            self._state = self._journal.state
        else:
            self._journal.add(con, line)
            self._state.lines.append(line)
        self._journal.write(con, line)
