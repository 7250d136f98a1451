"""`LlamaModel`: requests from any event loop, answered by one thread that owns a batch.

The file is loaded with the first request, and let go when another model needs the memory and this one has nothing to
do. Futures are resolved in their own loop; a cancelled call frees its row, and `close` stops a running decode within
milliseconds.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import queue
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from distil_sql.models.base import CLOSED, CallError, Completion, Request
from distil_sql.models.embedding import Gatherer, packed
from distil_sql.models.llama_cpp.options import LlamaOptions
from distil_sql.models.llama_cpp.shelf import SHELF

if TYPE_CHECKING:
    from distil_sql.models.llama_cpp.loaded import Loaded
    from distil_sql.models.llama_cpp.rows import Row


@dataclass(eq=False)
class _Call:
    """A request, or texts to embed, on its way through the owner thread; `resolve` ends it."""

    asked: Request | Sequence[str]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    row: Row | None = None
    cancelled: bool = False

    def resolve(self, result: Any) -> None:
        """Give the caller a result, or raise a `CallError` there."""
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._resolve, result)

    def _resolve(self, result: Any) -> None:
        if not self.future.done():
            if isinstance(result, CallError):
                self.future.set_exception(replace(result))
            else:
                self.future.set_result(result)

    def cancel(self) -> None:
        self.cancelled = True
        if self.row is not None:
            self.row.cancelled = True


class LlamaModel:
    """An embedded model (`models.base.Model`)."""

    told = None  # it limits nobody

    def __init__(self, options: LlamaOptions) -> None:
        self.options = options
        self.concurrency = 2 * options.concurrency  # for every row that runs another waits, and no slot stands idle
        self.closing = self.away = False
        self._inbox: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._loaded: Loaded | None = None
        self._open: set[_Call] = set()
        self._dead: CallError | None = None
        self._failure: CallError | None = None
        self._texts = Gatherer(self._vectors)

    async def complete(self, request: Request) -> Completion:
        """Answer one request; raises `CallError`."""
        if request.embeds:
            return await self._texts.ask(request.messages[-1]["content"])
        completion: Completion = await self._ask(request)
        return completion

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector of length 1 for each text, pooled as the option `pooling` says; raises `CallError`."""
        vectors: list[list[float]] = await self._ask(list(texts))
        return vectors

    async def _vectors(self, texts: Sequence[str]) -> list[Completion]:
        return [Completion(packed(vector)) for vector in await self.embed(texts)]

    async def close(self) -> None:
        """Stop what runs and free everything; idempotent."""
        await self._texts.close()
        if self._stop():
            assert self._thread is not None
            while self._thread.is_alive() and not (
                self._dead or self.away
            ):  # at the interpreter's end no other thread can be started to wait in
                await asyncio.sleep(0.002)

    @property
    def context_bytes(self) -> int:
        """What of the memory is not weights."""
        loaded = self._loaded
        return loaded.context_bytes if loaded else 0

    def wanted(self) -> None:
        """Another model waits for memory."""
        self._inbox.put(None)

    async def _ask(self, asked: Request | Sequence[str]) -> Any:
        if os.getpid() != self._pid:
            raise CallError(
                "invalid_request", "an embedded model does not survive a fork: start processes with spawn", fatal=True
            )
        loop = asyncio.get_running_loop()
        call = _Call(asked, loop, loop.create_future())
        with self._lock:
            if self._dead or self.closing:
                raise replace(self._dead) if self._dead else CallError("server", "the model has been closed")
            if self._thread is None:
                self._start()
            self._inbox.put(call)
        try:
            return await call.future
        finally:
            call.cancel()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._serve, name=f"llama_cpp {self.options.path}", daemon=True)
        self._thread.start()
        _LIVE.add(self)

    def die(self, reason: str) -> None:
        """The owner thread hangs for ever in a fault of llama.cpp: end all calls, now and later, in its stead."""
        why = " ".join(reason.split())[:200]
        said = f"llama.cpp failed on the model {self.options.path} ({why}): run again, and what is finished is kept"
        with self._lock:
            self._dead = CallError("server", said, fatal=True)
            while not self._inbox.empty():
                if (call := self._inbox.get()) is not None:
                    self._open.add(call)
        for call in list(self._open):
            call.resolve(self._dead)
        SHELF.bury(self)

    @property
    def working(self) -> bool:
        """Whether a call is being answered."""
        return bool(self._open)

    def runs_in(self, thread: int | None) -> bool:
        """Whether that is the owner thread."""
        return self._thread is not None and self._thread.ident == thread

    def _stop(self) -> bool:
        """Ask the owner thread to end; False where there is none."""
        if os.getpid() != self._pid:
            return False  # a forked child has neither the thread nor, perhaps, a free lock
        with self._lock:
            self.closing = True
            if self._thread is None or self._dead:
                return False
            if (loaded := self._loaded) is not None:
                loaded.abort()
            self._inbox.put(None)
        return True

    # --- in the owner thread

    def _serve(self) -> None:
        need = 0
        try:
            while not self.closing:
                call = self._inbox.get()
                if call is not None:
                    need = self._work(call, need)
        except CallError as error:
            self._failure = error
        except Exception as error:  # a fault of ours must not leave callers waiting
            self._failure = CallError("server", f"the embedded model failed: {error!r}", fatal=True)
        self._turn_away()

    def _work(self, first: _Call, need: int) -> int:
        """Load, answer, and stay for as long as nobody else needs the memory.

        Gives how many bytes beside the weights to wait for before it starts again.
        """
        self._open = {first}
        failure = CallError("server", CLOSED)
        try:
            from distil_sql.models.llama_cpp.api import library

            library.on_abort = _end_calls
            copy = SHELF.take(self.options, self, need)
            from distil_sql.models.llama_cpp.loaded import Loaded
            from distil_sql.models.llama_cpp.room import Allowance, Crowded

            allowance = Allowance(lambda: SHELF.room(self), lambda: SHELF.shared(self))
            loaded = self._loaded = Loaded(self.options, copy.weights, copy.head, allowance)
            self._hand_in(first, loaded)
            while not self.closing and (loaded.batch.busy or not SHELF.crowded):
                self._take_calls(loaded)
                try:
                    loaded.batch.step()
                except Crowded as crowded:
                    return self._step_aside(crowded.need)
            return 0
        except CallError as error:
            failure = error
            raise
        except Exception as error:
            failure = CallError("server", f"the embedded model failed: {error!r}", fatal=True)
            raise
        finally:
            if self._loaded is not None:
                self._loaded.close(failure)
                self._loaded = None
            SHELF.give_back(self)
            for call in self._open:
                call.resolve(failure)

    def _step_aside(self, need: int) -> int:
        """Let everything go, and take these calls again when there is memory for them."""
        for call in self._open:
            call.row = None
            self._inbox.put(call)
        self._open = set()
        return need

    def _take_calls(self, loaded: Loaded) -> None:
        """Hand in what has come; wait where there is nothing else to do."""
        while not loaded.batch.busy or not self._inbox.empty():
            call = self._inbox.get()
            if call is None:
                return
            self._hand_in(call, loaded)

    def _hand_in(self, call: _Call, loaded: Loaded) -> None:
        self._open.add(call)

        def done(result: Any) -> None:
            if call in self._open:  # else it is to be asked again
                self._open.remove(call)
                call.resolve(result)

        if call.cancelled:
            done(CallError("server", "the call was cancelled"))
            return
        if isinstance(call.asked, Request):
            call.row = loaded.submit(call.asked, done)
            if call.row is not None and call.cancelled:  # it may have been meanwhile
                call.row.cancelled = True
            return
        try:
            done(loaded.embed(call.asked))
        except CallError as error:
            done(error)

    def _turn_away(self) -> None:
        """Answer everyone, until the model is closed, with the reason why it cannot."""
        failure = self._failure or CallError("server", CLOSED)
        while not (self.closing and self._inbox.empty()):
            call = self._inbox.get()
            if call is not None:
                call.resolve(failure)


_LIVE: weakref.WeakSet[LlamaModel] = weakref.WeakSet()


def _end_calls(reason: str) -> bool:
    """llama.cpp would end the process: the thread tells whose calls these were, else all that work may be meant."""
    found = [model for model in _LIVE if model.runs_in(threading.get_ident())]
    found = found or [model for model in _LIVE if model.working]
    for model in found:
        model.die(reason)
    return bool(found)


@atexit.register
def _stop_all() -> None:
    """The interpreter must not be torn down under a decode."""
    for model in list(_LIVE):
        if model._stop() and model._thread is not None and not model.away:
            model._thread.join(timeout=5)
