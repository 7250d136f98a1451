"""`LlamaModel`: requests from any event loop, answered by one thread that owns the weights and the batch.

The file is loaded with the first request. Futures are resolved in their own loop; a cancelled call frees its row, and
`close` stops a running decode within milliseconds.
"""

from __future__ import annotations

import asyncio
import atexit
import codecs
import contextlib
import json
import os
import queue
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from distil_sql.errors import DistilError
from distil_sql.models.base import CallError, Completion, Request
from distil_sql.models.llama_cpp.grammar import GrammarError, gbnf
from distil_sql.models.llama_cpp.header import read_header
from distil_sql.models.llama_cpp.memory import available_bytes
from distil_sql.models.llama_cpp.options import LlamaOptions, check_header, is_template, local_file
from distil_sql.prompt import formats

if TYPE_CHECKING:
    from distil_sql.models.llama_cpp.api import Grammar, Weights
    from distil_sql.models.llama_cpp.batch import Batch
    from distil_sql.models.llama_cpp.chat import Chat
    from distil_sql.models.llama_cpp.rows import Row


@dataclass(eq=False)
class _Call:
    """A request on its way through the owner thread; exactly one of `answer` and `fail` resolves it."""

    request: Request
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Completion]
    row: Row | None = None
    cancelled: bool = False

    def answer(self, completion: Completion) -> None:
        self._resolve(lambda: None if self.future.done() else self.future.set_result(completion))

    def fail(self, error: CallError) -> None:
        self._resolve(lambda: None if self.future.done() else self.future.set_exception(replace(error)))

    def cancel(self) -> None:
        self.cancelled = True
        if self.row is not None:
            self.row.cancelled = True

    def _resolve(self, action: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            self.loop.call_soon_threadsafe(action)


class LlamaModel:
    """An embedded model (`models.base.Model`)."""

    def __init__(self, options: LlamaOptions) -> None:
        self.options = options
        self.concurrency = options.concurrency
        self._inbox: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._closing = False
        self._engine: _Engine | None = None
        self._failure: CallError | None = None

    async def complete(self, request: Request) -> Completion:
        """Answer one request; raises `CallError`."""
        if os.getpid() != self._pid:
            raise CallError(
                "invalid_request", "an embedded model does not survive a fork: start processes with spawn", fatal=True
            )
        loop = asyncio.get_running_loop()
        call = _Call(request, loop, loop.create_future())
        with self._lock:
            if self._closing:
                raise CallError("server", "the model has been closed")
            if self._thread is None:
                self._start()
            self._inbox.put(call)
        try:
            return await call.future
        finally:
            call.cancel()

    async def close(self) -> None:
        """Stop what runs and free everything; idempotent."""
        if self._stop():
            assert self._thread is not None
            await asyncio.to_thread(self._thread.join)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._serve, name=f"llama_cpp {self.options.path}", daemon=True)
        self._thread.start()
        _LIVE.add(self)

    def _stop(self) -> bool:
        """Ask the owner thread to end; False where there is none."""
        if os.getpid() != self._pid:
            return False  # a forked child has neither the thread nor, perhaps, a free lock
        with self._lock:
            self._closing = True
            if self._thread is None:
                return False
            if self._engine is not None:
                self._engine.batch.abort()
            self._inbox.put(None)
        return True

    # --- in the owner thread

    def _serve(self) -> None:
        try:
            self._engine = _Engine(self.options)
            while not self._closing:
                self._take_calls(self._engine)
                self._engine.batch.step()
        except CallError as error:
            self._failure = error
        except Exception as error:  # a fault of ours must not leave callers waiting
            self._failure = CallError("server", f"the embedded model failed: {error!r}", fatal=True)
        engine = self._engine
        if engine is not None:
            engine.close(self._failure)
        self._turn_away()

    def _take_calls(self, engine: _Engine) -> None:
        """Submit what has come in; wait where there is nothing else to do."""
        while not engine.batch.busy or not self._inbox.empty():
            call = self._inbox.get()
            if call is None:
                return
            engine.submit(call)

    def _turn_away(self) -> None:
        """Answer everyone, until the model is closed, with the reason why it cannot."""
        failure = self._failure or CallError("server", "the model was closed before it answered")
        while not (self._closing and self._inbox.empty()):
            call = self._inbox.get()
            if call is not None:
                call.fail(failure)


class _Engine:
    """What the owner thread owns: weights, chat template, grammars and the batch."""

    def __init__(self, options: LlamaOptions) -> None:
        from distil_sql.models.llama_cpp import api, batch, chat

        self.name = options.path
        try:
            path = local_file(options, download=True)
            assert path is not None
            head = read_header(path)
            check_header(path, head, options)
        except DistilError as error:
            raise CallError("invalid_request", str(error), fatal=True) from error
        size, free = os.path.getsize(path), available_bytes()
        if options.gpu_layers == 0 and free is not None and size > free:
            sizes = f"{size / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free"
            raise CallError("invalid_request", f"the model file {path} has {sizes}", fatal=True)
        try:
            self.weights: Weights = api.Weights(path, gpu_layers=options.gpu_layers, mmap=options.mmap)
        except api.LlamaError as error:
            raise CallError("invalid_request", f"the model file {path}: {error}", fatal=True) from error
        if not self.weights.has_decoder:
            self.weights.close()
            raise CallError("invalid_request", f"the model file {path} is not of a chat model", fatal=True)
        self.chat: Chat = chat.Chat(self.weights, _template(options, str(head.get("tokenizer.chat_template"))))
        self.batch: Batch = batch.Batch(self.weights, options)
        self._grammars: dict[str, Grammar] = {}

    def submit(self, call: _Call) -> None:
        """Make a row of a call; one that cannot be is answered at once."""
        from distil_sql.models.llama_cpp.api import LlamaError

        try:
            if not call.cancelled:
                call.row = self._row(call)
                call.row.cancelled = call.cancelled  # it may have been meanwhile
                self.batch.submit(call.row)
        except CallError as error:
            call.fail(error)
        except (LlamaError, GrammarError, UnicodeError) as error:
            call.fail(CallError("invalid_request", f"the model {self.name}: {error}"))

    def close(self, failure: CallError | None) -> None:
        self.batch.close(failure)
        for grammar in self._grammars.values():
            grammar.close()
        self.weights.close()

    def _row(self, call: _Call) -> Row:
        from distil_sql.models.llama_cpp.rows import Row
        from distil_sql.models.llama_cpp.sampling import MAX_TOKENS, Sampler

        request = call.request
        limit = MAX_TOKENS if request.sampling.max_tokens is None else request.sampling.max_tokens
        if limit < 1:
            raise CallError("invalid_request", f"max_tokens {limit} cannot be: use 1 or more")
        tokens = self.chat.tokens(request.messages)
        if not tokens:
            raise CallError("invalid_request", "the prompt is empty")
        return Row(
            tokens=tokens,
            max_tokens=limit,
            sampler=Sampler(request.sampling, request.sample, tokens),
            done=lambda row: self._done(call, row),
            grammar=None if request.schema is None else self._grammar(request.schema),
            stop=tuple(text.encode() for text in request.sampling.stop if text),
        )

    def _grammar(self, schema: Mapping[str, Any]) -> Grammar:
        key = json.dumps(schema)
        if key not in self._grammars:
            self._grammars[key] = self.weights.grammar(gbnf(schema))
        return self._grammars[key].clone()

    def _done(self, call: _Call, row: Row) -> None:
        if row.error is not None:
            call.fail(row.error)
            return
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(bytes(row.answer))  # not a character's half
        if self.weights.leading_space and row.grammar is None:
            text = text.removeprefix(" ")
        call.answer(
            Completion(
                text=text,
                finish_reason=row.finish,
                input_tokens=len(row.tokens),
                output_tokens=row.generated,
                cached_tokens=row.cached,
            )
        )


def _template(options: LlamaOptions, own: str) -> str:
    if options.prompt_format is None:
        return own
    return options.prompt_format if is_template(options.prompt_format) else formats.template(options.prompt_format)


_LIVE: weakref.WeakSet[LlamaModel] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    """The interpreter must not be torn down under a decode."""
    for model in list(_LIVE):
        if model._stop() and model._thread is not None:
            model._thread.join(timeout=5)
