"""The call engine: one event loop keeps a sliding window of calls in flight over all rows; one writer commits them.

`submit(calls)` queues calls and waits only when very many are pending; `wait(calls)` and `drain()` block until they are
in the ledger. Everyone outside is plain, blocking Python; only lanes and models know that there is a loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import duckdb

from distil_sql.engine.budget import Budget
from distil_sql.engine.call import Call, Keys, Tally, keys_for, request_for
from distil_sql.engine.lane import Lane
from distil_sql.engine.limits import Limits
from distil_sql.engine.writer import Writer
from distil_sql.errors import DistilError, Interrupted, ModelError, RunError
from distil_sql.ledger import Ledger, Outcome
from distil_sql.models import build
from distil_sql.models.base import CallError, Completion
from distil_sql.models.options import PER_CALL, ModelSpec
from distil_sql.task import SAMPLING_OPTIONS

__all__ = ["Budget", "Call", "Engine", "Keys", "Policy", "Tally", "keys_for", "request_for"]

MAX_PENDING = 20_000  # calls in memory: enough to keep any server busy, few enough for a million rows
GRACE_S = 1.0  # how long calls in flight may still land when a run stops
_TICK_S = 0.2


class Policy:
    """When failed rows stop the run: any (`fail`), or more than a share of them after the first 50."""

    def __init__(self, on_error: str = "null", max_error_ratio: float = 0.5, after: int = 50) -> None:
        self.on_error, self.max_error_ratio, self.after = on_error, max_error_ratio, after

    def verdict(self, call: Call, outcome: Outcome) -> RunError | None:
        """The error that ends the run after this outcome, or None to go on."""
        if outcome.status == "ok":
            return None
        last = f"task {outcome.task!r} failed on a row ({outcome.error_kind}): {outcome.error}"
        return self._judge(call.tally.failed, call.tally.done, last)

    def verdict_on_hits(self, tally: Tally, task: str) -> RunError | None:
        """The same for rows whose failure the ledger holds from an earlier run: they fail as new ones do."""
        if not tally.failed_hits:
            return None
        last = f"task {task!r} failed on rows of an earlier run that are not asked again: see distil.calls"
        return self._judge(tally.failed + tally.failed_hits, tally.done + tally.hits, last)

    def _judge(self, failed: int, of: int, last: str) -> RunError | None:
        if self.on_error == "fail":
            return RunError(last)
        if of >= self.after and failed > self.max_error_ratio * of:
            allowed = f"--max-error-ratio {self.max_error_ratio:g} allows"
            return RunError(f"{failed} of {of} calls failed, more than {allowed}; {last}")
        return None


class Engine:
    """Owns the loop's thread, the lanes and the writer of one database."""

    def __init__(self, root: duckdb.DuckDBPyConnection, ledger: Ledger) -> None:
        self.policy = Policy()
        self.budget = Budget()
        self._pending: dict[str, Call] = {}
        self._changed = threading.Condition()
        self._recovering = threading.Lock()
        self._failure: DistilError | None = None
        self.blamed: Tally | None = None  # whose call it was that stopped the engine, if it was a call's doing
        self._lanes: dict[tuple[str, ...], Lane] = {}
        self._loop = _new_loop()
        self._loop.set_exception_handler(self._loop_failed)
        self._thread = threading.Thread(target=self._run_loop, name="distil-engine", daemon=True)
        self._thread.start()
        self._writer = Writer(
            root,
            ledger,
            reask=self._ask_again,
            committed=self._let_go,
            failed=lambda error: self.fail(_as_distil(error)),
            in_flight=self.in_flight,
        )
        self._closed = False

    # -- for callers in any thread --------------------------------------------------------------------------------

    def pending(self, keys: Iterable[str]) -> dict[str, Call]:
        """Those of the keys whose calls are on their way."""
        with self._changed:
            return {key: call for key in keys if (call := self._pending.get(key)) is not None}

    def submit(self, calls: Sequence[Call]) -> list[Call]:
        """Queue calls, waiting while very many are pending; a key that is on its way already is not asked twice.

        Gives the calls to wait for, in the order of the argument. Raises what stopped the engine, if it is stopped.
        """
        by_lane: dict[int, tuple[Lane, list[Call]]] = {}
        going: list[Call] = []
        with self._changed:
            while len(self._pending) >= MAX_PENDING and self._failure is None:
                self._changed.wait(_TICK_S)
            self._raise_failure()
            # all of them first: where there can be no lane, no call may be left waiting for an answer
            for call in calls:
                self.budget.check(call)
            lanes = {id(model): self._lane(model) for model in {id(call.model): call.model for call in calls}.values()}
            for call in calls:
                known = self._pending.get(call.key)
                going.append(known or call)
                if known is None:
                    self._pending[call.key] = call
                    lane = lanes[id(call.model)]
                    by_lane.setdefault(id(lane), (lane, []))[1].append(call)
                    call.tally.add(asked=1)
                    call.tally.open += 1
        for lane, fresh in by_lane.values():
            self._loop.call_soon_threadsafe(lane.add, fresh)
        return going

    def wait(self, calls: Sequence[Call]) -> None:
        """Block until these calls are in the ledger; raises what stopped the engine."""
        with self._changed:
            for call in calls:
                while not call.done:
                    if call.stopped is not None:
                        raise call.stopped
                    self._raise_failure()
                    self._changed.wait(_TICK_S)

    def drain(self, tally: Tally | None = None, tick: Callable[[], None] | None = None) -> None:
        """Block until no call is pending, or none of a tally's; `tick` is called a few times a second."""
        while True:
            with self._changed:
                self._raise_failure()
                if not (self._pending if tally is None else tally.open):
                    return
                self._changed.wait(_TICK_S)
            if tick is not None:
                tick()

    def fail(self, error: DistilError, of: Tally | None = None) -> None:
        """Stop making calls; those in flight get a moment to land. Safe from any thread, a second time too.

        `of` is the tally of the call that is to blame.
        """
        with self._changed:
            if self._failure is not None:
                return
            self._failure, self.blamed = error, of
            self._changed.notify_all()
        self._loop.call_soon_threadsafe(self._drop_queued)

    def interrupt(self) -> None:
        """Stop because the user said so."""
        self.fail(Interrupted("interrupted"))

    def recover(self) -> DistilError | None:
        """After a stop: wait until what was in flight has landed or been cancelled, and be ready for new calls."""
        with self._recovering:
            failure = self._failure
            if failure is None:
                return None
            deadline = time.monotonic() + GRACE_S
            with self._changed:
                while self._pending and time.monotonic() < deadline:
                    self._changed.wait(0.05)
            self._end_lanes(10)
            self._writer.flush()
            with self._changed:
                self._forget(list(self._pending.values()))
                self._failure = None
            return failure

    def check(self) -> None:
        """Raise what stopped the engine, if it is stopped."""
        with self._changed:
            self._raise_failure()

    def on_commit(self, hook: Callable[[duckdb.DuckDBPyConnection], None] | None) -> None:
        """A function that joins every ledger transaction (progress rows), or None."""
        self._writer.on_commit = hook

    def in_flight(self) -> int:
        """Calls sent and unanswered, over all lanes."""
        return sum(lane.in_flight for lane in list(self._lanes.values()))

    def runs_dry(self) -> bool:
        """Whether a server may soon be idle for want of calls."""
        return any(lane.runs_dry for lane in list(self._lanes.values()))

    def close(self) -> None:
        """Stop everything; what is finished is committed first. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self.fail(Interrupted("the database was closed"))
        self._end_lanes(20)
        self._writer.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _lane(self, spec: ModelSpec) -> Lane:
        """The lane of a model: those that differ only in sampling and prices share one, and so its limits."""
        own = (*SAMPLING_OPTIONS, *PER_CALL, "price_in", "price_out", "price_cached")
        key = (
            spec.type,
            spec.base_url if spec.type == "openai" else "",
            *sorted(f"{name}={value!r}" for name, value in spec.options.items() if name not in own),
        )
        lane = self._lanes.get(key)
        if lane is None:
            model = build(spec)
            self._writer.prepare()
            limits = Limits(model.concurrency, spec.number("rpm"), spec.number("tpm"))
            lane = self._lanes[key] = Lane(model, limits, lambda: self.budget, self._finished, self.fail)
        return lane

    def _finished(self, call: Call, completion: Completion | None, error: CallError | None) -> None:
        if error is not None and error.fatal:
            self.fail(ModelError(f"model {call.model.name!r}: {error.message}"), call.tally)
            with self._changed:
                self._forget([call])  # not an answer: a later run asks it
            return
        self._writer.put(call, completion, error)

    def _ask_again(self, call: Call) -> None:
        with self._changed:
            if self._failure is not None:  # stopping: no lane may be opened any more
                self._forget([call])
                return
            lane = self._lane(call.model)
        self._loop.call_soon_threadsafe(lane.add_first, call)

    def _let_go(self, settled: Sequence[tuple[Call, Outcome]]) -> None:
        for call, outcome in settled:  # before they are let go: the last call of all may be the one that stops the run
            if (verdict := self.policy.verdict(call, outcome)) is not None:
                self.fail(verdict, call.tally)
        with self._changed:
            for call, _ in settled:
                call.done = True
                if self._pending.pop(call.key, None) is not None:
                    call.tally.open -= 1
            self._changed.notify_all()

    def _drop_queued(self) -> None:
        dropped = [call for lane in self._lanes.values() for call in lane.drop_queued()]
        with self._changed:
            self._forget(dropped)

    def _forget(self, calls: Sequence[Call]) -> None:
        """These will not be answered: whoever waits for one hears why. The lock is held."""
        for call in calls:
            call.stopped = self._failure or Interrupted("interrupted")
            if self._pending.pop(call.key, None) is not None:
                call.tally.open -= 1
        self._changed.notify_all()

    def _end_lanes(self, seconds: float) -> None:
        """Close all lanes; a model that takes longer keeps nothing from being committed."""
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._close_lanes(), self._loop).result(timeout=seconds)

    async def _close_lanes(self) -> None:
        lanes, self._lanes = list(self._lanes.values()), {}
        await asyncio.gather(*(lane.close() for lane in lanes))

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception):
            self.fail(_as_distil(error))

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where there is one: half the cost of a call is the loop's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _as_distil(error: Exception) -> DistilError:
    if isinstance(error, DistilError):
        return error
    return RunError(f"the call engine stopped on an unexpected error ({type(error).__name__}: {error})")
