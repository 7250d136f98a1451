"""Rows that wait for a slot, in the order of their tokens: those that begin alike are let in one after the other.

The order is gone through from where it was left off, round and round, so that a row waits for one round at most.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from operator import attrgetter

from distil_sql.models.llama_cpp.rows import Row

_tokens = attrgetter("tokens")


class Waiting:
    """A tree of prompts, flattened: sorted, neighbours share the most of their beginnings."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._last: list[int] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def add(self, row: Row) -> None:
        insort(self._rows, row, key=_tokens)

    def peek(self) -> Row:
        """The next row; there must be one."""
        return self._rows[self._place()]

    def pop(self) -> Row:
        """Take the next row; there must be one."""
        row = self._rows.pop(self._place())
        self._last = row.tokens[: row.start]
        return row

    def clear(self) -> list[Row]:
        """Forget all rows; gives them back."""
        rows, self._rows = self._rows, []
        return rows

    def drop_cancelled(self) -> list[Row]:
        """Forget rows that nobody waits for; gives them back."""
        gone = [row for row in self._rows if row.cancelled]
        if gone:
            self._rows = [row for row in self._rows if not row.cancelled]
        return gone

    def _place(self) -> int:
        place = bisect_left(self._rows, self._last, key=_tokens)
        return place if place < len(self._rows) else 0
