"""`TokenBatch`: the arrays that llama.cpp reads a batch from, made once and filled for every decode."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from distil_sql.models.llama_cpp.api.library import LIBRARY as _L
from distil_sql.models.llama_cpp.api.library import LlamaError

Piece = tuple[int, int, Sequence[int], bool]
"""Of one sequence: its number, the first token's position, tokens, and whether output is wanted after them."""


class TokenBatch:
    """Room for `size` tokens; `struct` is what llama.cpp takes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._token, self._pos = np.zeros(size, np.int32), np.zeros(size, np.int32)
        self._n_seq, self._seq = np.ones(size, np.int32), np.zeros(size, np.int32)
        self._output = np.zeros(size, np.int8)
        address = self._seq.ctypes.data
        seq_id = ctypes.POINTER(_L.llama_seq_id)
        self._seq_pointers = (seq_id * size)(*(ctypes.cast(address + 4 * i, seq_id) for i in range(size)))
        self.struct: Any = _L.llama_batch()
        self.struct.token = self._token.ctypes.data_as(ctypes.POINTER(_L.llama_token))
        self.struct.embd = None
        self.struct.pos = self._pos.ctypes.data_as(ctypes.POINTER(_L.llama_pos))
        self.struct.n_seq_id = self._n_seq.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        self.struct.seq_id = self._seq_pointers
        self.struct.logits = self._output.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))

    def fill(self, pieces: Sequence[Piece], *, outputs: int = 1) -> None:
        """Take these; where output is wanted, it is of the last `outputs` tokens."""
        n = 0
        for sequence, position, tokens, output in pieces:
            end = n + len(tokens)
            if end > self._size:
                raise LlamaError("a batch that does not fit was made (please report this)")
            self._token[n:end] = tokens
            self._pos[n:end] = np.arange(position, position + len(tokens))
            self._seq[n:end] = sequence
            self._output[n:end] = 0
            self._output[max(n, end - outputs) : end] = output
            n = end
        self.struct.n_tokens = n
