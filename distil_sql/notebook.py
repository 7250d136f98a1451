"""Progress in a notebook: one line that redraws itself under the cell, for scripts and for queries that wait.

`progress()` gives what `run` reports to, `watcher()` what a session's functions report to; both None where there is no
notebook. IPython is not needed: it is looked for among what is loaded already.
"""

from __future__ import annotations

import html
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from typing import Any

from distil_sql.engine import Tally
from distil_sql.status import Line, RunState, now
from distil_sql.udf import Watcher
from distil_sql.wording import bar, counts, ended, running

_REDRAW_S = 0.25
_PATIENCE_S = 0.5  # what is over sooner needs no display
_BUSY = ("running", "pending")


def progress() -> Callable[[RunState], None] | None:
    """Shows a run under the cell that runs it; None outside of notebooks."""
    return _Script().show if _shell() is not None else None


def watcher() -> Watcher | None:
    """Shows the calls of queries that wait, under the cell that waits; None outside of notebooks."""
    return _Waits().watch if _shell() is not None else None


def _shell() -> Any:
    """IPython's shell if it has a kernel behind it, as in Jupyter."""
    loaded = sys.modules.get("IPython")
    shell = loaded.get_ipython() if loaded is not None and hasattr(loaded, "get_ipython") else None
    return shell if getattr(shell, "kernel", None) is not None else None


class _Text:
    """Lines of text as a notebook shows them."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def __repr__(self) -> str:
        return "\n".join(self.lines)

    def _repr_html_(self) -> str:
        return f"<pre style='margin:0;white-space:pre-wrap'>{html.escape(repr(self))}</pre>"


class _Display:
    """One place under a cell."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown: list[str] = []

    def show(self, lines: list[str]) -> None:
        """Put these lines there; nothing where they are there already."""
        if lines == self._shown:
            return
        self._shown = lines
        if self._handle is None:
            from IPython.display import display

            self._handle = display(_Text(lines), display_id=True)
        else:
            self._handle.update(_Text(lines))

    @property
    def is_used(self) -> bool:
        return self._handle is not None


class _Script:
    """A run: a line for each statement that has ended, and one for the one that runs."""

    def __init__(self) -> None:
        self._display = _Display()
        self._last = 0.0

    def show(self, state: RunState) -> None:
        current = state.current
        if current is not None and time.monotonic() - self._last < _REDRAW_S:
            return
        self._last = time.monotonic()
        lines = [ended(line, len(state.lines)) for line in state.lines if line.state not in _BUSY]
        if current is not None:
            lines.append(running(current, len(state.lines)))
        self._display.show(lines)


class _Waits:
    """Queries of one session that wait, those of a cell on one line: calls made of those asked for so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = 0
        self._cell: object = None
        self._display = _Display()
        self._line = Line(0, "")
        self._tallies: dict[int, tuple[Tally, Tally]] = {}  # each with what it had counted when the cell began

    @contextmanager
    def watch(self, tally: Tally) -> Iterator[None]:
        """While a thread waits for calls that count for this tally."""
        with self._lock:
            cell = getattr(_shell(), "execution_count", None)
            if cell != self._cell:
                self._cell, self._display, self._tallies = cell, _Display(), {}
                self._line = Line(0, "", started_at=now())
            if id(tally) not in self._tallies:
                self._tallies[id(tally)] = (tally, _settled(tally))
            self._waiting += 1
            if self._waiting == 1:
                threading.Thread(target=self._redraw, name="distil-notebook", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
                if not self._waiting and self._display.is_used:
                    self._draw(over=True)

    def _redraw(self) -> None:
        started = time.monotonic()
        while True:
            time.sleep(_REDRAW_S)
            with self._lock:
                if not self._waiting:
                    return
                if self._display.is_used or time.monotonic() - started >= _PATIENCE_S:
                    self._draw()

    def _draw(self, *, over: bool = False) -> None:
        """The lock is held. What a display cannot show must not stop a query."""
        self._line.tally = _sum(self._tallies.values())
        with suppress(Exception):
            self._display.show([counts(self._line) if over or not self._line.tally.total else bar(self._line)])


_COUNTED = [field.name for field in fields(Tally) if field.type in ("int", "float")]


def _settled(tally: Tally) -> Tally:
    """What a tally has counted, without the calls that are under way: those count for who waits."""
    copy = Tally(**{name: getattr(tally, name) for name in _COUNTED}, priced=tally.priced)
    copy.total, copy.open = tally.total - tally.open, 0
    return copy


def _sum(tallies: Any) -> Tally:
    """What has been counted since, all together."""
    total = Tally()
    for tally, start in tallies:
        for name in _COUNTED:
            setattr(total, name, getattr(total, name) + getattr(tally, name) - getattr(start, name))
        total.priced |= tally.priced
    return total
