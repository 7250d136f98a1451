"""Calls that wait for their turn, in the order in which prompts share the most of their beginnings.

Servers and llama.cpp keep what they have computed of a prompt; calls whose prompts begin alike (system prompt,
examples, a common document) therefore leave one after the other, however the table is sorted. A call that has waited
before (a retry, a question asked again) goes first.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable

from distil_sql.engine.call import Call


class Backlog:
    """A priority queue of calls by their rendered messages. Used inside the event loop only."""

    def __init__(self) -> None:
        self._returned: deque[Call] = deque()
        self._sorted: list[tuple[str, int, Call]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._returned) + len(self._sorted)

    def add(self, calls: Iterable[Call]) -> None:
        """Calls that come for the first time."""
        for call in calls:
            self._count += 1
            heapq.heappush(self._sorted, (call.messages, self._count, call))

    def add_first(self, call: Call) -> None:
        """A call that has waited before."""
        self._returned.append(call)

    def peek(self) -> Call:
        """The next call; IndexError where there is none."""
        return self._returned[0] if self._returned else self._sorted[0][2]

    def pop(self) -> Call:
        """Take the next call; IndexError where there is none."""
        return self._returned.popleft() if self._returned else heapq.heappop(self._sorted)[2]

    def clear(self) -> list[Call]:
        """Forget every call; gives them back."""
        calls = [*self._returned, *(call for _, _, call in self._sorted)]
        self._returned.clear()
        self._sorted.clear()
        return calls
