"""The one writer: finished calls are read, then committed to the ledger in small batches, then let go.

Group commit: while one batch is being committed, and for a while after, the next gathers, so batches grow with the load
and a call is durable within tens of milliseconds of its answer; what a kill can lose is little beside what is in
flight. Parsing happens here, before the commit, because an answer that cannot be read may be asked for again.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import duckdb

from distil_sql.engine.call import Call
from distil_sql.engine.parsing import parse_check
from distil_sql.errors import DatabaseError
from distil_sql.ledger import Ledger, Outcome
from distil_sql.models.base import CallError, Completion
from distil_sql.prompt.template import TemplateError
from distil_sql.task import Task

FULL = "the disk is full, so no more calls are made: free some space and run again, what is in the ledger is kept"
_BATCH = 512
_GATHER_S, _TICK_S, _QUICK_S = 0.04, 0.003, 0.03
_REST = 3.0  # after a commit, for so many times as long as it took: it costs the same however few calls it holds

Finished = tuple[Call, Completion | None, CallError | None]


class Writer:
    """Owns the writing cursor and its thread."""

    def __init__(
        self,
        root: duckdb.DuckDBPyConnection,
        ledger: Ledger,
        *,
        reask: Callable[[Call], None],
        committed: Callable[[Sequence[tuple[Call, Outcome]]], None],
        failed: Callable[[Exception], None],
        in_flight: Callable[[], int],
    ) -> None:
        self._root, self._cursor = root, root.cursor()
        self._ledger = ledger
        self._prepared, self._in_flight = False, in_flight
        self._reask, self._committed, self._failed = reask, committed, failed
        self._queue: queue.SimpleQueue[Finished | threading.Event | None] = queue.SimpleQueue()
        self.on_commit: Callable[[duckdb.DuckDBPyConnection], None] | None = None
        self._thread = threading.Thread(target=self._work, name="distil-writer", daemon=True)
        self._thread.start()

    def prepare(self) -> None:
        """Before the first call: load what a first commit loads (pandas, for one: half a second of unkept answers)."""
        if self._prepared:
            return
        self._prepared = True
        with self._root.cursor() as cursor:
            cursor.execute("BEGIN")
            self._ledger.append(cursor, [])
            cursor.execute("ROLLBACK")

    def put(self, call: Call, completion: Completion | None, error: CallError | None) -> None:
        """Hand over one finished call."""
        self._queue.put((call, completion, error))

    def flush(self) -> None:
        """Block until everything handed over so far is committed."""
        reached = threading.Event()
        self._queue.put(reached)
        reached.wait(timeout=30)

    def close(self) -> None:
        """Commit what is left and end the thread."""
        self._queue.put(None)
        self._thread.join(timeout=30)
        self._cursor.close()

    def _work(self) -> None:
        ending, took = False, 0.0
        while not ending:
            batch: list[Finished] = []
            reached: threading.Event | None = None
            self._rest(took)
            item, took = self._queue.get(), 0.0
            started = time.monotonic()
            while True:
                if item is None:
                    ending = True
                    break
                if isinstance(item, threading.Event):
                    reached = item
                    break
                batch.append(item)
                if len(batch) >= _BATCH:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            if batch:
                try:
                    self._settle(batch)
                    took = time.monotonic() - started
                except Exception as error:  # whatever it is, nobody may wait for this batch for ever
                    self._failed(_database_error(error))
            if reached is not None:
                reached.set()

    def _rest(self, took: float) -> None:
        """Let the next batch gather, but not once half as many calls wait here as are in flight.

        `took` is what the last batch took, in seconds; one whose PARSE takes long is not worth the hurry.
        """
        if not took:
            return
        until = time.monotonic() + max(_GATHER_S, _REST * took)
        while (left := until - time.monotonic()) > 0:
            if took < _QUICK_S and self._queue.qsize() >= max(1, self._in_flight() // 2):
                return
            time.sleep(min(left, _TICK_S))

    def _settle(self, batch: Sequence[Finished]) -> None:
        settled: list[tuple[Call, Outcome]] = []
        for call, completion, error in self._judged(batch):
            if completion is not None and error is not None and error.kind == "unparsable":
                if call.reasks < call.task.reask:
                    call.ask_better(completion.text, error.message)
                    self._reask(call)
                    continue
                error.completion = completion
                completion = None
            settled.append((call, call.outcome(completion, error)))
        if not settled:
            return
        for call, outcome in settled:
            call.tally.finish(outcome)
        outcomes = [outcome for _, outcome in settled]
        try:
            self._store(outcomes, replace=False)
        except duckdb.ConstraintException:  # some failed before
            self._store(outcomes, replace=True)
        self._ledger.remember(outcomes)
        self._committed(settled)

    def _store(self, outcomes: Sequence[Outcome], *, replace: bool) -> None:
        """One transaction: the outcomes, and whatever goes with them."""
        self._cursor.execute("BEGIN")
        try:
            self._ledger.append(self._cursor, outcomes, replace=replace)
            if self.on_commit is not None:
                self.on_commit(self._cursor)
            self._cursor.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise

    def _judged(self, batch: Sequence[Finished]) -> list[Finished]:
        """The batch, with an error on every answer that was cut short or cannot be read."""
        judged: list[Finished] = []
        to_parse: dict[int, tuple[Task, list[int]]] = {}
        for call, completion, error in batch:
            if completion is not None:
                call.count(completion)
                error = error or _unusable(call.task, completion, call.values)
                known = call.values is not None or not call.task.parse_inputs
                if error is None and call.task.parse and known:
                    to_parse.setdefault(id(call.task), (call.task, []))[1].append(len(judged))
            elif error is not None and error.completion is not None:
                call.count(error.completion)
            judged.append((call, completion, error))
        for task, places in to_parse.values():
            answered = [(judged[i][1], judged[i][0].values) for i in places]
            reasons = parse_check(self._cursor, task, [(done.text, values or {}) for done, values in answered if done])
            for place, reason in zip(places, reasons, strict=True):
                if reason is not None:
                    call, completion, _ = judged[place]
                    judged[place] = (call, completion, CallError("unparsable", reason))
        return [
            (call, None if error is not None and error.kind != "unparsable" else completion, error)
            for call, completion, error in judged
        ]

    def _rollback(self) -> None:
        with contextlib.suppress(duckdb.Error):  # the transaction may have ended itself
            self._cursor.execute("ROLLBACK")


def _unusable(task: Task, completion: Completion, values: Mapping[str, Any] | None) -> CallError | None:
    """Why an answer gives no value, as far as it can be told without SQL."""
    cut = completion.finish_reason == "length"
    if cut and (not task.keeps_truncated or not completion.text):
        reason = f"the answer was cut at max_tokens after {completion.output_tokens} tokens: raise max_tokens"
        return CallError("truncated", reason, completion=completion)
    if not completion.text.strip():
        return CallError("unparsable", "the answer is empty")
    try:
        if not task.output.is_text:
            task.output.read(completion.text)
        elif task.reads_in_python and values is not None:
            task.value(completion.text, values)
    except ValueError as error:
        return CallError("unparsable", str(error))
    return None


def is_full(text: str) -> bool:
    """Whether an error's text tells of a full disk."""
    return any(sign in text for sign in ("No space left", "File too large", "Disk quota"))


def _database_error(error: Exception) -> Exception:
    if isinstance(error, duckdb.Error):
        reason = " ".join(str(error).split("\n")[0].split())
        if is_full(reason):
            return DatabaseError(FULL)
        return DatabaseError(f"the ledger cannot be written, so no more calls are made: {reason}")
    if isinstance(error, TemplateError):
        return DatabaseError(str(error))
    return error
