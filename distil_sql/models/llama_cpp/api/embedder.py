"""`Embedder`: texts in, vectors out, many in one pass. One thread owns it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from distil_sql.models.llama_cpp.api.library import LIBRARY as _L
from distil_sql.models.llama_cpp.api.library import LlamaError, Stop
from distil_sql.models.llama_cpp.api.token_batch import TokenBatch

POOLINGS = {
    "mean": _L.LLAMA_POOLING_TYPE_MEAN,
    "cls": _L.LLAMA_POOLING_TYPE_CLS,
    "last": _L.LLAMA_POOLING_TYPE_LAST,
}

TEXTS = 64
"""Most texts of one pass."""


class Embedder:
    """A context that pools the states of a text's tokens into one vector."""

    def __init__(self, model: Any, cells: int, pooling: str | None) -> None:
        self.size = -(-cells // TEXTS) * TEXTS  # llama.cpp must be able to share it out evenly
        """Most tokens of one pass, and of one text: it is read whole, for some models look both ways."""
        kind = _L.LLAMA_POOLING_TYPE_UNSPECIFIED if pooling is None else POOLINGS[pooling]
        self._context: Any = self._made(model, kind)
        if pooling is None and self._context and _L.llama_pooling_type(self._context) not in POOLINGS.values():
            _L.llama_free(self._context)
            self._context = self._made(model, POOLINGS["mean"])
        if not self._context:
            raise LlamaError(f"no memory to read {self.size} tokens at once")
        self._memory: Any = _L.llama_get_memory(self._context)
        self._width: int = _L.llama_model_n_embd(model)
        self._batch = TokenBatch(self.size)

    def _made(self, model: Any, pooling: int) -> Any:
        params = _L.llama_context_default_params()
        params.n_ctx, params.n_seq_max = self.size, TEXTS
        params.n_batch = params.n_ubatch = self.size
        # Of cells that are not shared, llama.cpp reads texts of several lengths in pieces, and pools only the last.
        params.kv_unified, params.no_perf = True, True
        params.flash_attn_type = _L.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.embeddings, params.pooling_type = True, pooling
        self._stop = Stop(params)
        return _L.llama_init_from_model(model, params)

    def embed(self, texts: Sequence[Sequence[int]], threads: int) -> list[npt.NDArray[np.float32]]:
        """A vector of length 1 for each text of tokens; together they have at most `size`."""
        if len(texts) > TEXTS or not all(texts) or sum(map(len, texts)) > self.size:
            raise LlamaError("a batch that does not fit was made (please report this)")
        self._batch.fill([(number, 0, tokens, True) for number, tokens in enumerate(texts)], outputs=self.size)
        _L.llama_set_n_threads(self._context, threads, threads)
        if self._memory:
            _L.llama_memory_clear(self._memory, True)
        if code := _L.llama_decode(self._context, self._batch.struct):
            raise LlamaError(f"llama.cpp could not embed a batch (code {code})")
        return [self._vector(number) for number in range(len(texts))]

    def _vector(self, sequence: int) -> npt.NDArray[np.float32]:
        pointer = _L.llama_get_embeddings_seq(self._context, sequence)
        if not pointer:
            raise LlamaError("llama.cpp has no vector where one was asked for")
        vector = np.ctypeslib.as_array(pointer, (self._width,)).astype(np.float64)
        length = float(np.sqrt(np.square(vector).sum()))
        return (vector / length if length else vector).astype(np.float32)

    def abort(self) -> None:
        """Stop the running pass within milliseconds, and every later one; callable from any thread."""
        self._stop.set()

    def close(self) -> None:
        if self._context:
            _L.llama_free(self._context)
            self._context = self._memory = None
