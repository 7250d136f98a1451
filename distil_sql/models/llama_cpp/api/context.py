"""`Context`: the sequences of a running model, decoded together. One thread owns it; only `abort` is for others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distil_sql.models.llama_cpp.api.library import LIBRARY as _L
from distil_sql.models.llama_cpp.api.library import LlamaError, Logits, Stop
from distil_sql.models.llama_cpp.api.token_batch import Piece, TokenBatch


class Context:
    """The state of several sequences, each with cells of its own (so that one row's bits never depend on another's)."""

    def __init__(
        self,
        model: Any,
        n_vocab: int,
        batch: int,
        sequences: int,
        cells: int,
        outputs: int,
        flash_attention: bool,
        kv_cache: int,
    ) -> None:
        """`outputs`: most tokens of a sequence whose logits one decode computes."""
        params = _L.llama_context_default_params()
        params.n_ctx, params.n_seq_max = cells * sequences, sequences
        self.batch = batch = max(batch, sequences)
        params.n_batch = params.n_ubatch = batch
        params.n_outputs_max = min(batch, outputs * sequences)  # else there is room for the scores of a whole batch
        params.kv_unified, params.no_perf = False, True
        params.flash_attn_type = (
            _L.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash_attention else _L.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        params.type_k = params.type_v = kv_cache
        self._stop = Stop(params)
        self._context: Any = _L.llama_init_from_model(model, params)
        if not self._context:
            raise LlamaError(f"there is no memory for {sequences} sequences of {cells} tokens")
        self._memory: Any = _L.llama_get_memory(self._context)
        if not self._memory:
            self.close()
            raise LlamaError("it is not a chat model: it keeps nothing of what it has read")
        self._n_vocab = n_vocab
        self.sequences = sequences
        self.cells: int = _L.llama_n_ctx_seq(self._context)
        self._batch = TokenBatch(batch)

    def decode(self, pieces: Sequence[Piece], *, outputs: int = 1, threads: int = 1) -> int:
        """Run pieces of sequences with so many threads: 0 is success.

        `outputs`: of how many of a piece's last tokens logits are computed, where they are wanted.
        """
        for sequence, position, tokens, _ in pieces:
            if not 0 <= sequence < self.sequences or position + len(tokens) > self.cells:
                raise LlamaError("a batch that does not fit was made (please report this)")
        self._batch.fill(pieces, outputs=outputs)
        _L.llama_set_n_threads(self._context, threads, threads)
        code: int = _L.llama_decode(self._context, self._batch.struct)
        if code == 0:
            _L.llama_synchronize(self._context)
        return code

    def logits(self, index: int) -> Logits:
        """The logits after token `index` of the last batch, a view that the next decode overwrites."""
        pointer = _L.llama_get_logits_ith(self._context, index)
        if not pointer:
            raise LlamaError("llama.cpp has no logits where some were asked for")
        return np.ctypeslib.as_array(pointer, (self._n_vocab,))

    def trim(self, sequence: int, position: int) -> bool:
        """Forget a sequence's tokens from `position` on; False where this kind of model cannot."""
        return bool(_L.llama_memory_seq_rm(self._memory, sequence, position, -1))

    def copy(self, source: int, target: int) -> None:
        """Make one sequence a copy of another."""
        _L.llama_memory_seq_rm(self._memory, target, -1, -1)
        _L.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def abort(self) -> None:
        """Stop the running decode within milliseconds, and every later one; callable from any thread."""
        self._stop.set()

    def close(self) -> None:
        if self._context:
            _L.llama_free(self._context)
            self._context = self._memory = None
