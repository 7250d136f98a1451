"""Texts to vectors, many in one pass; belongs to the thread of the model's batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from distil_sql.models.base import CLOSED, CallError
from distil_sql.models.llama_cpp.api import TEXTS, Embedder, LlamaError, Weights
from distil_sql.models.llama_cpp.options import LlamaOptions
from distil_sql.models.llama_cpp.room import Allowance, Room
from distil_sql.models.llama_cpp.threads import Threads


class Texts:
    """One model's embeddings. `abort()` may be called from another thread; what is asked then, and later, fails."""

    def __init__(self, weights: Weights, options: LlamaOptions, limit: int, threads: int, allowance: Allowance) -> None:
        """`limit`: most tokens of a text. `threads`: the most that a pass has."""
        self._weights, self._options, self._limit = weights, options, limit
        self._threads = Threads(threads)
        self._room = Room(weights, limit, False, "f16", allowance)
        self._embedder: Embedder | None = None
        self._aborted = False

    @property
    def context_bytes(self) -> int:
        """About what the context takes."""
        embedder = self._embedder  # asked from another thread
        return self._room.taken(1, embedder.size, embedder.size) if embedder else 0

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector of length 1 for each text; raises `CallError`."""
        tokens = [self._weights.tokenize(text, whole=True) for text in texts]
        for number, found in enumerate(tokens):
            if not 0 < len(found) <= self._limit:
                said = f"text {number} has {len(found)} tokens, and the model takes 1 to {self._limit}"
                raise CallError("context_length", said)
        try:
            embedder = self._for(max(map(len, tokens), default=0))
        except LlamaError as error:
            raise CallError("context_length", f"{error}: cut it") from error
        try:
            return self._passes(tokens, embedder)
        except LlamaError as error:
            said = CLOSED if self._aborted else f"the model {self._options.path}: {error}"
            raise CallError("server", said) from error

    def abort(self) -> None:
        self._aborted = True
        if (embedder := self._embedder) is not None:
            embedder.abort()

    def close(self) -> None:
        if self._embedder is not None:
            self._embedder.close()
            self._embedder = None

    def _for(self, longest: int) -> Embedder:
        """An embedder with room for the longest text."""
        if self._embedder is None or longest > self._embedder.size:
            self.close()
            cells = self._room.cells_for_texts(longest)
            self._embedder = self._weights.embedder(cells=cells, pooling=self._options.pooling)
        return self._embedder

    def _passes(self, texts: Sequence[Sequence[int]], embedder: Embedder) -> list[list[float]]:
        vectors: dict[int, list[float]] = {}
        waiting = sorted(range(len(texts)), key=lambda number: len(texts[number]), reverse=True)
        while waiting:
            if self._aborted:
                raise CallError("server", CLOSED)
            taken, room = list[int](), embedder.size
            for number in waiting:
                if len(texts[number]) <= room and len(taken) < TEXTS:
                    taken.append(number)
                    room -= len(texts[number])
            waiting = [number for number in waiting if number not in set(taken)]
            read = partial(embedder.embed, [texts[number] for number in taken])
            found = self._threads.run(embedder.size - room, read)
            vectors.update((number, vector.tolist()) for number, vector in zip(taken, found, strict=True))
        return [vectors[number] for number in range(len(texts))]
