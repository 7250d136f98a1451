"""A lane: the sliding window of calls in flight to one server. Lives in the engine's event loop.

No barrier: the moment an answer arrives the next call leaves. A call that fails in passing gives its place up while it
waits for its next try.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable

from distil_sql.engine.backlog import Backlog
from distil_sql.engine.budget import Budget
from distil_sql.engine.call import Call
from distil_sql.engine.limits import Limits
from distil_sql.errors import DistilError
from distil_sql.models.base import TRANSIENT, CallError, Completion, Model, Told

MAX_ATTEMPTS = 6
MAX_REJECTIONS = 60
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 20.0
PATIENCE_S, FIRST_PATIENCE_S = 60.0, 5.0  # for a server that went away (a restart), and for one never heard of

_ROOM_S = 0.02

Finished = Callable[[Call, Completion | None, CallError | None], None]
Fail = Callable[[DistilError], None]


class Lane:
    """Queue, window and retries for one model."""

    def __init__(
        self, model: Model, limits: Limits, budget: Callable[[], Budget], finished: Finished, fail: Fail
    ) -> None:
        self.model, self.limits, self.budget = model, limits, budget
        self._fail = fail
        self._finished = finished
        self._queue = Backlog()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[asyncio.TimerHandle, Call] = {}
        self._wake: asyncio.TimerHandle | None = None
        self._closed = False
        self._heard = False
        self._told: Told | None = None
        self._away_since: float | None = None

    @property
    def in_flight(self) -> int:
        """Calls sent and not answered yet."""
        return len(self._tasks)

    @property
    def runs_dry(self) -> bool:
        """Whether fewer calls wait than could be in flight: before long there is room for more."""
        return len(self._queue) < int(self.limits.window)

    def add(self, calls: Iterable[Call]) -> None:
        """Queue calls."""
        self._queue.add(calls)
        self._pump()

    def add_first(self, call: Call) -> None:
        """Queue a call that has waited before ahead of the others."""
        self._queue.add_first(call)
        self._pump()

    def drop_queued(self) -> list[Call]:
        """Forget every call that is not in flight, those waiting for their next try included; gives them back."""
        dropped = [*self._queue.clear(), *self._waiting.values()]
        for timer in self._waiting:
            timer.cancel()
        self._waiting.clear()
        self._closed = True
        return dropped

    async def close(self) -> None:
        """Abort what is in flight and free the model; takes no more calls."""
        self.drop_queued()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        await self.model.close()

    def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        while (call := self._take(len(self._tasks))) is not None:
            task = loop.create_task(self._send_on(call))
            self._tasks.add(task)
            task.add_done_callback(self._landed)

    def _take(self, in_flight: int) -> Call | None:
        """The next call if one may leave now; else None, and a timer where it is time that is waited for."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if not self._queue or self._closed:
            return None
        delay = self.limits.delay(in_flight)
        if delay is None:
            return None
        loop = asyncio.get_running_loop()
        if delay > 0:
            self._wake = loop.call_later(delay, self._pump)
            return None
        call = self._queue.peek()
        if not self.budget().reserve(call):
            if self.budget().waiting:  # what lands, here or in another lane, may make room
                self._wake = loop.call_later(_ROOM_S, self._pump)
            else:
                self._fail(self.budget().reached())
            return None
        self._queue.pop()
        self.limits.start()
        return call

    async def _send_on(self, call: Call) -> None:
        """Send a call, and in its place the next one as long as there is one: no turn of the loop is lost between."""
        following: Call | None = call
        while following is not None:
            await self._send(following)
            following = self._take(len(self._tasks) - 1)
            if following is not None:
                self._pump()  # the answer may have widened the window

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error  # a fault of ours: the loop's exception handler stops the engine
        self._pump()

    async def _send(self, call: Call) -> None:
        call.attempts += 1
        started = time.monotonic()
        completion: Completion | None = None
        failure: CallError | None = None
        try:
            completion = await self.model.complete(call.request)
        except CallError as error:
            completion, failure = error.completion, error
        finally:
            call.spent_s += time.monotonic() - started
            self.budget().settle(call, completion)  # before it can go out again, with a reservation of its own
        if failure is not None:
            self._failed(call, failure)
            return
        assert completion is not None
        self._heard, self._away_since = True, None
        self._listen()
        self.limits.answered(completion.input_tokens + completion.output_tokens)
        self._finished(call, completion, None)

    def _failed(self, call: Call, error: CallError) -> None:
        if error.unreachable:
            self._away(call, error)
            return
        self._heard, self._away_since = True, None
        self._listen()
        if error.fatal:
            self._finished(call, None, error)
        elif error.kind == "rate_limited" and call.rejections < MAX_REJECTIONS:
            call.rejections += 1
            call.attempts -= 1  # a rejection is not an attempt: the server did no work
            self.limits.rejected(error.retry_after)
            self.add_first(call)
        elif error.kind in TRANSIENT and error.kind != "rate_limited" and call.attempts < MAX_ATTEMPTS:
            self.limits.trouble()
            ceiling = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (call.attempts - 1))
            delay = error.retry_after if error.retry_after is not None else random.uniform(0, ceiling)
            self._later(delay, call)
        else:
            self._finished(call, None, error)

    def _listen(self) -> None:
        """Take over what the server has told of its limits."""
        if (told := self.model.told) is not self._told and told is not None:
            self._told = told
            self.limits.told(told)

    def _away(self, call: Call, error: CallError) -> None:
        """Nobody is there, which is not the row's fault: wait for the server; in the end, stop the run."""
        now = time.monotonic()
        self._away_since = self._away_since or now
        gone = now - self._away_since
        if gone < (PATIENCE_S if self._heard else FIRST_PATIENCE_S):
            call.attempts -= 1
            self.limits.pause(min(2.0, max(0.25, gone / 4)))
            self.add_first(call)
            return
        message = f"{error.message}, for {gone:.0f} s: start the server or check base_url, then run again"
        self._finished(call, None, CallError(error.kind, message, fatal=True))

    def _later(self, delay: float, call: Call) -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            del self._waiting[timer]
            self.add_first(call)

        timer = loop.call_later(delay, again)
        self._waiting[timer] = call
