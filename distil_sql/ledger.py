"""The ledger, `distil.calls`: look answers up, append outcomes. One writer, any number of readers.

`Ledger(root)` reads through one cursor a thread of the system; `append` belongs to the engine's writer thread alone.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from distil_sql.models.base import TRANSIENT

_KEYS_A_QUERY = 1000  # the primary key answers IN lists up to about this size by index


class Answer(NamedTuple):
    """What a stored call says to the row that asks for it."""

    call_id: str
    response: str | None
    status: str
    error_kind: str | None
    run_id: str | None


@dataclass(slots=True)
class Outcome:
    """One finished call, as the ledger keeps it. Times are milliseconds, cost is USD (None: no price known).

    `scores` is JSON: the probabilities and logprobs that a model gave with its answer.
    """

    call_id: str
    task: str
    task_version: int
    model: str
    sample: int
    messages: str
    response: str | None
    status: str
    error_kind: str | None
    error: str | None
    finish_reason: str | None
    attempts: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: float | None
    latency_ms: float
    run_id: str
    scores: str | None = None
    reasoning_tokens: int = 0


_COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    ("call_id", pa.string()),
    ("task", pa.string()),
    ("task_version", pa.int32()),
    ("model", pa.string()),
    ("sample", pa.int32()),
    ("messages", pa.string()),
    ("response", pa.string()),
    ("status", pa.string()),
    ("error_kind", pa.string()),
    ("error", pa.string()),
    ("finish_reason", pa.string()),
    ("attempts", pa.int32()),
    ("input_tokens", pa.int64()),
    ("output_tokens", pa.int64()),
    ("cached_tokens", pa.int64()),
    ("cost", pa.float64()),
    ("latency_ms", pa.float64()),
    ("run_id", pa.string()),
    ("created_at", pa.timestamp("us")),
    ("scores", pa.string()),
    ("reasoning_tokens", pa.int64()),
)  # in the order of the table's own, which the tests hold: binding by name takes DuckDB four times as long
_DETAILS = (
    "call_id::VARCHAR, response, status, error_kind, run_id::VARCHAR, "
    "error, finish_reason, model, messages::VARCHAR, input_tokens, output_tokens, cached_tokens, cost, "
    "scores::VARCHAR, reasoning_tokens"
)
_ANSWER = "call_id::VARCHAR, response, status, error_kind, run_id::VARCHAR, rowid"
_AHEAD_ROWS, _AHEAD_CHARACTERS, _AHEAD_S = 32_768, 32_000_000, 2.0
_RECENT = 20_000


class _Reader:
    """One thread's way of reading: by key, and ahead of itself where keys are asked for in the order they were stored.

    A key found by index costs some 10 µs, a row of a scan 2. A statement that runs again asks in nearly the order in
    which it first did, so what was stored next is read before it is asked for; only good answers, which never change
    while a statement runs. They are forgotten soon: between statements, users delete rows to have them asked again.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection, tables: tuple[str, ...]) -> None:
        self.cursor, self._tables = cursor, tables
        self._ahead: dict[str, Answer] = {}
        self._good_until = 0.0

    def answers(self, keys: Sequence[str]) -> dict[str, Answer]:
        if time.monotonic() > self._good_until:
            self._ahead.clear()
        ahead = self._ahead
        found = {key: answer for key in keys if (answer := ahead.pop(key, None)) is not None}
        rest = [key for key in keys if key not in found] if found else keys
        places = []
        for row in self.select(_ANSWER, rest):
            found[row[0]] = Answer._make(row[:5])
            places.append(int(row[5]))
        # a straggler or two does not mean that the order is lost
        if len(places) > max(64, len(keys) // 8) and len(places) > 0.9 * len(rest):
            self._read_on(sorted(places), sum(len(found[key].response or "") for key in rest if key in found))
        return found

    def _read_on(self, places: list[int], characters: int) -> None:
        """Read what was stored after these places, if they lie close together."""
        first, last = places[0], places[-1]
        if last - first > 4 * len(places) or len(self._tables) > 1:
            return
        rows = max(0, min(_AHEAD_ROWS, _AHEAD_CHARACTERS // (1 + characters // len(places))))
        query = f"SELECT {_ANSWER} FROM distil.calls WHERE rowid BETWEEN {first} AND {last + rows} AND status = 'ok'"
        self._ahead = {row[0]: Answer._make(row[:5]) for row in self.cursor.execute(query).fetchall()}
        self._good_until = time.monotonic() + _AHEAD_S

    def select(self, columns: str, keys: Sequence[str]) -> Iterable[tuple[Any, ...]]:
        """Rows of these keys, by the primary key's index."""
        for start in range(0, len(keys), _KEYS_A_QUERY):
            listed = ",".join([f"'{key}'" for key in keys[start : start + _KEYS_A_QUERY]])
            for table in self._tables:
                yield from self.cursor.execute(f"SELECT {columns} FROM {table} WHERE call_id IN ({listed})").fetchall()


class Ledger:
    """Reads and appends `distil.calls` of one database."""

    def __init__(self, root: duckdb.DuckDBPyConnection) -> None:
        self._root = root
        self.tables: tuple[str, ...] = ("distil.calls",)
        self._readers: dict[int, _Reader] = {}
        self._recent: dict[str, Answer] = {}
        self._remembers = False

    def _reader(self) -> _Reader:
        """This thread's. Not in a `threading.local`: to Python, a thread of DuckDB's is a new one at every call."""
        reader = self._readers.get(threading.get_ident())
        if reader is None:
            reader = self._readers[threading.get_ident()] = _Reader(self._root.cursor(), self.tables)
        return reader

    def close(self) -> None:
        """Close the reading cursors of all threads."""
        for reader in self._readers.values():
            reader.cursor.close()

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Within one statement, keep what it has just stored at hand for its replay."""
        self._remembers = True
        try:
            yield
        finally:
            self._remembers = False
            self._recent = {}

    def remember(self, outcomes: Iterable[Outcome]) -> None:
        """Outcomes that are committed."""
        if not self._remembers:
            return
        if len(self._recent) > _RECENT:
            self._recent = {}  # a statement of many calls replays by reading ahead
        for o in outcomes:
            self._recent[o.call_id] = Answer(o.call_id, o.response, o.status, o.error_kind, o.run_id)

    def lookup(self, keys: Sequence[str]) -> dict[str, Answer]:
        """Stored answers by key; keys without one are absent."""
        recent = self._recent
        if not recent:
            return self._reader().answers(keys)
        found = {key: answer for key in keys if (answer := recent.get(key)) is not None}
        rest = [key for key in keys if key not in found]
        return found | self._reader().answers(rest) if rest else found

    def details(self, keys: Sequence[str]) -> dict[str, tuple[object, ...]]:
        """Answer and everything `t_details` shows, by key (order of columns as in `_DETAILS`)."""
        return {str(row[0]): row for row in self._reader().select(_DETAILS, keys)}

    def append(self, writer: duckdb.DuckDBPyConnection, outcomes: Sequence[Outcome], *, replace: bool = False) -> None:
        """Store outcomes in the writer's transaction.

        A key that was stored before, as a failure, raises ConstraintException or is replaced, at twice the cost.
        """
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        columns = [
            pa.array(
                [getattr(outcome, name) for outcome in outcomes] if name != "created_at" else [now] * len(outcomes),
                kind,
            )
            for name, kind in _COLUMNS
        ]
        distil_outcomes = pa.table(columns, names=[name for name, _ in _COLUMNS])  # found by its name in the query
        writer.execute(f"INSERT {'OR REPLACE ' if replace else ''}INTO distil.calls FROM distil_outcomes")
        del distil_outcomes


def asks_again(answer: Sequence[Any], run_id: str) -> bool:
    """The retry policy: a failure that may pass is asked again by a run or session that has not seen it itself.

    `answer` is an Answer, or a row that begins like one.
    """
    return answer[2] != "ok" and answer[3] in TRANSIENT and answer[4] != run_id
