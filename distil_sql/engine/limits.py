"""Limits of one server: how many calls at once, how many a minute, how many tokens a minute.

Every statement and thread that uses the server shares one `Limits`. Where the user gives no concurrency it is found:
doubling until the server first says 429, then times 0.75 once a burst of rejections and +1 a round trip of answers (the
additive increase, multiplicative decrease of Chiu and Jain, 1989). A rejection also spaces departures at the rate that
was answered, so that a server which counts requests a minute is not asked in herds. Used inside the event loop only.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from distil_sql.models.base import Told

START, CEILING = 16, 256
_WIDER, _CLOSER, _NO_GAP_S = 1.5, 0.995, 0.001  # the gap between departures: after a burst of 429s, after an answer
_OUTCOMES, _STRAY, _BRIEF_S = 40, 8, 0.1  # of these, a quarter at most: strays, as of a quota shared with others
_BREAKER = 20  # failures in a row that open the circuit
_SLOWEST = 20  # departures a second that the first burst of 429s leaves at least


class Bucket:
    """A token bucket: `rate` a minute, at most half a second's worth at once.

    A server that lets a second's worth through at once may then see calls half a second closer than they left.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = rate / 60
        self.size = max(1.0, self.per_second / 2)
        self.level, self._clock = self.size, clock
        self._at = clock()

    def wait(self, amount: float) -> float:
        """Seconds until `amount` may be taken; 0 means now. More than the bucket holds passes when it is full."""
        now = self._clock()
        self.level = min(self.size, self.level + (now - self._at) * self.per_second)
        self._at = now
        missing = min(amount, self.size) - self.level
        return max(0.0, missing / self.per_second)

    def take(self, amount: float) -> None:
        """Take it, going into debt where the estimate was low."""
        self.level -= amount


def _raised(bucket: Bucket | None, rate: float, clock: Callable[[], float]) -> Bucket:
    """A bucket of at least this rate; a new one starts empty, since calls have gone out already."""
    if bucket is not None and bucket.per_second * 60 >= rate * 0.95:
        return bucket
    fresh = Bucket(rate, clock)
    fresh.level = min(0.0, bucket.level) if bucket is not None else 0.0
    return fresh


class Limits:
    """What one server may be asked, now."""

    def __init__(
        self,
        concurrency: int = 0,
        rpm: float | None = None,
        tpm: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.adaptive = concurrency <= 0
        self.window = float(START if self.adaptive else concurrency)
        self._growing = True
        self._answers = 0
        self._clock = clock
        self._requests = Bucket(rpm, clock) if rpm else None
        self._tokens = Bucket(tpm, clock) if tpm else None
        self._tokens_a_call = 0.0
        self._paused_until = 0.0
        self._burst_until = 0.0
        self._streak = 0  # bursts of rejections since the last answer
        self._gap, self._next = 0.0, 0.0
        self._outcomes: deque[bool] = deque(maxlen=_OUTCOMES)  # the last answers (True) and rejections
        self._troubles, self._open = 0, False  # failures since the last answer; whether the circuit is open
        self._own_rpm, self._own_tpm = rpm, tpm
        self._second, self._answered, self._answered_before = clock(), 0, 0

    def delay(self, in_flight: int) -> float | None:
        """Seconds to wait before the next call; None: until one in flight ends; 0: go."""
        if in_flight >= (1 if self._open else int(self.window)):
            return None
        wait = max(0.0, max(self._paused_until, self._next) - self._clock())
        if self._requests is not None:
            wait = max(wait, self._requests.wait(1))
        if self._tokens is not None:
            wait = max(wait, self._tokens.wait(self._tokens_a_call))
        return wait

    def start(self) -> None:
        """A call goes out."""
        if self._gap:
            self._next = self._clock() + self._gap
        if self._requests is not None:
            self._requests.take(1)
        if self._tokens is not None:
            self._tokens.take(self._tokens_a_call)

    def answered(self, tokens: int) -> None:
        """A call was answered: correct the token estimate, let the window grow."""
        self._streak = self._troubles = 0
        self._open = False
        self._outcomes.append(True)
        self._count()
        self._answered += 1
        self._gap = self._gap * _CLOSER if self._gap > _NO_GAP_S else 0.0
        if self._tokens is not None:
            self._tokens.take(tokens - self._tokens_a_call)
            self._tokens_a_call += 0.1 * (tokens - self._tokens_a_call) if self._tokens_a_call else tokens
        if not self.adaptive or self.window >= CEILING:
            return
        self._answers += 1
        if self._growing:
            self.window = min(CEILING, self.window + 1)  # one more per answer doubles it each round trip
        elif self._answers >= self.window:
            self._answers, self.window = 0, self.window + 1

    def told(self, told: Told) -> None:
        """The server says what it allows: keep to it, unless the user has said it. The most generous word counts."""
        if self._own_rpm is None and told.requests_a_minute is not None:
            self._requests = _raised(self._requests, told.requests_a_minute, self._clock)
        if self._own_tpm is None and told.tokens_a_minute is not None:
            self._tokens = _raised(self._tokens, told.tokens_a_minute, self._clock)

    def trouble(self) -> None:
        """A call failed in a way that may pass. Many in a row open the circuit: one call at a time tries the server."""
        self._troubles += 1
        if self._troubles >= _BREAKER and self._clock() >= self._paused_until:
            self._open = True
            self.pause(min(30.0, 0.5 * 2 ** min((self._troubles - _BREAKER) // _BREAKER, 6)))

    def pause(self, seconds: float) -> None:
        """Send nothing for a while."""
        self._paused_until = max(self._paused_until, self._clock() + seconds)

    def rejected(self, retry_after: float | None) -> None:
        """The server said 429: wait as it asks, and shrink the window once a burst."""
        now = self._clock()
        first_of_burst = now >= self._burst_until
        self._outcomes.append(False)
        stray = retry_after is None and self._outcomes.count(False) * _STRAY <= len(self._outcomes)
        pause = retry_after if retry_after is not None else _BRIEF_S if stray else self._patience()
        self.pause(pause)
        if first_of_burst:
            self._burst_until = now + max(1.0, pause)
            self._streak += 1
            self._growing, self._answers = False, 0
            self._count()
            rate = max(self._answered, self._answered_before, _SLOWEST)
            slowest = 1 / (0.9 * max(self._answered, self._answered_before, 1)) if stray else 1.0
            self._gap = min(slowest, max(self._gap * _WIDER, 1 / rate))
            if self.adaptive:
                self.window = max(1.0, self.window * 0.75)

    def _patience(self) -> float:
        """Seconds to wait where the server does not say: twice as long for each burst that no answer came between."""
        return min(30.0, 0.5 * float(2 ** min(self._streak, 6)))

    def _count(self) -> None:
        """Keep the answers of this second and the one before."""
        elapsed = self._clock() - self._second
        if elapsed >= 1:
            self._answered_before = self._answered if elapsed < 2 else 0
            self._second, self._answered = self._clock(), 0
