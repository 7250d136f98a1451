"""Embedding: a call is one text, and texts that are asked for at the same moment go out as one request.

A vector travels, and is stored, as base64 of its 32-bit floats (little-endian), the form OpenAI's servers send: half
the size of its digits in JSON, and exact. In SQL `distil_vector(response)` reads it.
"""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from distil_sql.models.base import CallError, Completion

MOST = 64
"""Texts a request, at most."""

_GATHER_S = 0.003
_OF_ONE_TEXT = ("invalid_request", "context_length", "refused")

_Waiting = tuple[str, "asyncio.Future[Completion]"]


def packed(vector: str | Sequence[float]) -> str:
    """A vector in the form it is stored in; raises ValueError, TypeError or struct.error where it is none."""
    if isinstance(vector, str):
        size = len(base64.b64decode(vector, validate=True))
        if size == 0 or size % 4:
            raise ValueError(f"{size} bytes are no vector")
        return vector
    if not vector:
        raise ValueError("the vector is empty")
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def shares(tokens: int, texts: Sequence[str]) -> list[int]:
    """What each text has of a request's tokens, by its length; together exactly as many."""
    total = sum(map(len, texts)) or 1
    found, seen, given = list[int](), 0, 0
    for text in texts:
        seen += len(text)
        found.append(tokens * seen // total - given)
        given += found[-1]
    return found


class Gatherer:
    """Joins texts into requests. Used inside one event loop; `send` answers a list of texts in their order."""

    def __init__(self, send: Callable[[Sequence[str]], Awaitable[Sequence[Completion]]]) -> None:
        self._send = send
        self._waiting: list[_Waiting] = []
        self._timer: asyncio.TimerHandle | None = None
        self._sent: set[asyncio.Task[None]] = set()
        self._alone: set[str] = set()  # texts in a request on which the server failed: next time, each by itself

    async def ask(self, text: str) -> Completion:
        """The vector of one text; raises `CallError`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Completion] = loop.create_future()
        if text in self._alone:
            self._alone.discard(text)
            self._leave([(text, future)])
            return await future
        self._waiting.append((text, future))
        if len(self._waiting) >= MOST:
            self._go()
        elif self._timer is None:
            self._timer = loop.call_later(_GATHER_S, self._go)
        return await future

    async def close(self) -> None:
        """Abort what is on its way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _, future in self._waiting:
            future.cancel()
        self._waiting = []
        for task in self._sent:
            task.cancel()
        await asyncio.gather(*self._sent, return_exceptions=True)

    def _go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        self._leave(waiting)

    def _leave(self, batch: Sequence[_Waiting]) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(batch))
        self._sent.add(task)
        task.add_done_callback(self._sent.discard)

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        batch = [(text, future) for text, future in batch if not future.done()]
        if not batch:
            return
        failure: Exception
        try:
            found = await self._send([text for text, _ in batch])
        except CallError as error:
            if len(batch) > 1 and error.kind in _OF_ONE_TEXT and not error.fatal:  # whose fault is it?
                half = len(batch) // 2
                await asyncio.gather(self._answer(batch[:half]), self._answer(batch[half:]))
                return
            if len(batch) > 1 and error.kind == "server":
                self._alone.update(text for text, _ in batch)
            failure = error
        except Exception as error:  # a fault of ours must not leave callers waiting
            failure = error
        else:
            for (_, future), completion in zip(batch, found, strict=True):
                if not future.done():
                    future.set_result(completion)
            return
        for _, future in batch:
            if not future.done():
                future.set_exception(replace(failure) if isinstance(failure, CallError) else failure)
