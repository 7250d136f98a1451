"""The ledger, `distil.calls`: look answers up, append outcomes. One writer, any number of readers.

`Ledger(root)` reads through one cursor a thread; `append` belongs to the engine's writer thread alone.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
    """One finished call, as the ledger keeps it. Times are milliseconds, cost is USD (None: no price known)."""

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
)
_DETAILS = (
    "call_id::VARCHAR, response, status, error_kind, run_id::VARCHAR, "
    "error, finish_reason, model, messages::VARCHAR, input_tokens, output_tokens, cached_tokens, cost"
)
_ANSWER = "call_id::VARCHAR, response, status, error_kind, run_id::VARCHAR"


class Ledger:
    """Reads and appends `distil.calls` of one database."""

    def __init__(self, root: duckdb.DuckDBPyConnection) -> None:
        self._root = root
        self.tables: tuple[str, ...] = ("distil.calls",)
        self._readers = threading.local()
        self._open: list[duckdb.DuckDBPyConnection] = []

    def _reader(self) -> duckdb.DuckDBPyConnection:
        cursor: duckdb.DuckDBPyConnection | None = getattr(self._readers, "cursor", None)
        if cursor is None:
            cursor = self._readers.cursor = self._root.cursor()
            self._open.append(cursor)
        return cursor

    def close(self) -> None:
        """Close the reading cursors of all threads."""
        for cursor in self._open:
            cursor.close()

    def lookup(self, keys: Sequence[str]) -> dict[str, Answer]:
        """Stored answers by key; keys without one are absent."""
        return {row[0]: Answer(*row) for row in self._select(_ANSWER, keys)}

    def details(self, keys: Sequence[str]) -> dict[str, tuple[object, ...]]:
        """Answer and everything `t_details` shows, by key (order of columns as in `_DETAILS`)."""
        return {str(row[0]): row for row in self._select(_DETAILS, keys)}

    def _select(self, columns: str, keys: Sequence[str]) -> Iterable[tuple[str, ...]]:
        reader = self._reader()
        for start in range(0, len(keys), _KEYS_A_QUERY):
            listed = ",".join([f"'{key}'" for key in keys[start : start + _KEYS_A_QUERY]])
            for table in self.tables:
                yield from reader.execute(f"SELECT {columns} FROM {table} WHERE call_id IN ({listed})").fetchall()

    def append(self, writer: duckdb.DuckDBPyConnection, outcomes: Sequence[Outcome]) -> None:
        """Store outcomes in the writer's transaction; one that was stored before (as an error) is replaced."""
        columns = [pa.array([getattr(outcome, name) for outcome in outcomes], kind) for name, kind in _COLUMNS]
        now = pa.array([dt.datetime.now(dt.UTC).replace(tzinfo=None)] * len(outcomes), pa.timestamp("us"))
        batch = pa.table([*columns, now], names=[*(name for name, _ in _COLUMNS), "created_at"])
        writer.register("distil_outcomes", batch)
        try:
            writer.execute("INSERT OR REPLACE INTO distil.calls BY NAME SELECT * FROM distil_outcomes")
        finally:
            writer.unregister("distil_outcomes")


def asks_again(answer: Answer, run_id: str) -> bool:
    """The retry policy: a failure that may pass is asked again by a run or session that has not seen it itself."""
    return answer.status != "ok" and answer.error_kind in TRANSIENT and answer.run_id != run_id
