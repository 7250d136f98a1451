"""How many threads the next decode has: as many as make it faster, which is found by trying.

The threads of a decode wait for each other at each of its hundreds of steps. On idle processors every thread helps.
Where other work holds a processor (DuckDB's threads, another model, another program) one of them is always late, and
the same decode is faster with fewer. That comes and goes within a run, so now and then another count is tried.

An answer's bits do not depend on the count, but where flash attention reads an unquantised cache: there it is steady.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from time import perf_counter
from typing import TypeVar

_Result = TypeVar("_Result")

WORTH_IT = 0.95
"""What another count must take of the time for it to be preferred."""

CLEAR = (2.0, 1.2, 1.2, 1.0)
"""How many times as long is clearly worse, after one decode with each count, after two, …; the last decides."""

FIRST = 2
"""Decodes before the first trial."""

SOON = 8
"""Decodes from a change to the next trial. After a trial that changes nothing there are LATER times as many."""

LATER = 4

SELDOM, LESS_SELDOM = 256, 128
"""Most decodes between trials, with all threads and with fewer: other work may be done, and they may be wanted."""

STEPS = (-1, 1, -2, 2)
"""Which counts are tried, in turn: places up and down from the present one."""

SLOW = 1.4
"""A decode that takes so many times as long as usual is slow. SLOW_TURNS in a row are reason for a trial at once."""

SLOW_TURNS = 3


class Threads:
    """`run(size, decode)` every decode, of so many tokens; it is given its number of threads: `most`, or fewer."""

    def __init__(self, most: int, *, steady: bool = False) -> None:
        self._ladder = [most] if steady else _ladder(most)
        self._at = len(self._ladder) - 1
        self._rival: int | None = None
        self._step = 0
        self._pause, self._rest = SOON, FIRST
        self._slow = 0
        self._usual: dict[int, float] = {}
        self._trial: dict[int, tuple[list[float], list[float]]] = {}
        self._given = self._at

    def run(self, size: int, decode: Callable[[int], _Result]) -> _Result:
        """Give what `decode` gives."""
        threads, started = self.count(size), perf_counter()
        result = decode(threads)
        self.took(size, perf_counter() - started)
        return result

    def count(self, size: int) -> int:
        """Threads for a decode of `size` tokens."""
        self._given = self._at
        if self._rival is not None:
            now, other = self._trial.setdefault(size.bit_length(), ([], []))
            self._given = self._rival if len(other) < len(now) else self._at
        return self._ladder[self._given]

    def took(self, size: int, seconds: float) -> None:
        """A decode of `size` tokens, with the threads that `count` gave, is done."""
        kind, each = size.bit_length(), seconds / max(1, size)  # sizes that far apart cannot be compared
        if self._rival is None:
            self._watch(kind, each)
            return
        now, other = self._trial[kind]
        (now if self._given == self._at else other).append(each)
        if len(other) == len(now):
            share, clear = sum(other) / sum(now), CLEAR[len(other) - 1]
            if not 1 / clear < share < clear:
                self._decide(share < WORTH_IT, self._rival)

    def _watch(self, kind: int, each: float) -> None:
        """Between trials: is it time for one?"""
        if len(self._ladder) == 1:
            return
        usual = self._usual.get(kind, inf)
        self._slow = self._slow + 1 if each > SLOW * usual else 0
        self._usual[kind] = each if usual == inf else 0.9 * usual + 0.1 * each
        self._rest -= 1
        if self._rest > 0 and not (self._slow >= SLOW_TURNS and self._at and self._pause - self._rest >= SOON):
            return
        if self._slow >= SLOW_TURNS:
            self._step = 0
        while not 0 <= self._at + STEPS[self._step] < len(self._ladder):
            self._step = (self._step + 1) % len(STEPS)
        self._rival, self._trial = self._at + STEPS[self._step], {}

    def _decide(self, better: bool, rival: int) -> None:
        """Where a count was better, one further on may be so too; where not, it is left for longer."""
        if better:
            self._at, self._pause = rival, SOON
            self._usual.clear()
        else:
            self._pause = min(LATER * self._pause, SELDOM if self._at == len(self._ladder) - 1 else LESS_SELDOM)
            self._step = (self._step + 1) % len(STEPS)
        self._rest, self._slow, self._rival = self._pause, 0, None


def _ladder(most: int) -> list[int]:
    """Counts to try, from one to `most`: 1, 2, 3, 4, 6, 8, 12, 16, …"""
    steps = [1, *(step for power in range(1, most.bit_length()) for step in (1 << power, 3 << power - 1))]
    return sorted({*(step for step in steps if step < most), most})
