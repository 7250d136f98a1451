"""How large a context is made: cells for the longest row waiting, and as many sequences as memory has room for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from distil_sql.models.llama_cpp.api import LlamaError, Weights
from distil_sql.models.llama_cpp.header import BLOCKS
from distil_sql.models.llama_cpp.machine import available_bytes
from distil_sql.models.llama_cpp.options import KV_CACHES

SMALLEST = 512
"""Cells of the smallest sequence."""

HEADROOM = 1.25
"""How much more than the longest row needs a context has, so that slightly longer ones do not need another."""

MEMORY_SHARE = 0.8
"""Of the memory available, how much a context may take."""


class Crowded(Exception):
    """Other models hold the memory that a context needs; `need` is how many bytes."""

    def __init__(self, need: int) -> None:
        super().__init__(need)
        self.need = need


@dataclass(frozen=True)
class Allowance:
    """What of the memory meant for models is free (None: no limit), and whether others hold some of it."""

    free: Callable[[], int | None] = lambda: None
    shared: Callable[[], bool] = lambda: False


class Room:
    """What a model's contexts may take: of the machine's memory, and of its allowance."""

    def __init__(self, weights: Weights, limit: int, flash: bool, kv_cache: str, allowance: Allowance) -> None:
        self._weights, self._limit, self._flash, self._allowance = weights, limit, flash, allowance
        self._cell = weights.cell_bytes(BLOCKS[KV_CACHES[kv_cache]])

    def shape(self, wanted: int, need: int, longest: int) -> tuple[int, int]:
        """Sequences (up to `wanted`) and cells of each, for the longest row or, where memory is short, for this one.

        Raises `Crowded` where others' leaving would help, else `LlamaError` where there is no room.
        """
        cells = min(_rounded(self._limit), _rounded(max(SMALLEST, int(longest * HEADROOM))))
        sequences = self._sequences(cells, wanted)
        if sequences < max(2, wanted // 4):
            cells = _rounded(need)
            sequences = self._sequences(cells, wanted)
        if sequences < min(2, wanted) and self._allowance.shared():
            raise Crowded(self.taken(wanted, cells))
        if sequences < 1:
            raise LlamaError(
                f"there is no memory for a context of {cells} tokens: a smaller max_tokens or kv_cache helps"
            )
        return sequences, cells

    def cells_for_texts(self, longest: int) -> int:
        """Cells in which texts are read whole, as embeddings need; raises `LlamaError` where there is no room."""
        cells = _rounded(max(SMALLEST, longest))
        if self._sequences(cells, 1, cells) < 1:
            raise LlamaError(f"there is no memory to read a text of {longest} tokens whole")
        return cells

    def taken(self, sequences: int, cells: int, tokens: int | None = None) -> int:
        """About how many bytes a context takes in which so many tokens (None: as many as usual) are read at once."""
        return sequences * cells * self._cell + self._scores(cells, tokens)

    def _sequences(self, cells: int, wanted: int, tokens: int | None = None) -> int:
        memory, allowed = available_bytes(), self._allowance.free()
        found = [size for size in (memory and int(memory * MEMORY_SHARE), allowed) if size is not None]
        if not found:
            return wanted
        return max(0, min(wanted, (min(found) - self._scores(cells, tokens)) // (cells * self._cell)))

    def _scores(self, cells: int, tokens: int | None = None) -> int:
        return 0 if self._flash else self._weights.score_bytes(cells, tokens)


def _rounded(cells: int) -> int:
    """llama.cpp rounds a context up to 256s."""
    return -(-cells // 256) * 256
