"""What makes a server slow or unwilling: latency draws, the token bucket, and the simulated prefix cache."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from statistics import NormalDist

Z99 = NormalDist().inv_cdf(0.99)


def draw(seed: int, key: bytes, salt: str) -> float:
    """A number in [0, 1) that only the arguments decide."""
    digest = blake2b(b"%d %s" % (seed, salt.encode()), key=key, digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


@dataclass(frozen=True)
class Latency:
    """Either fixed, or lognormal with this median and 99th percentile, cut to [min_ms, cap_ms]."""

    fixed_ms: float | None = None
    median_ms: float | None = None
    p99_ms: float | None = None
    cap_ms: float = math.inf
    min_ms: float = 0.0

    def __post_init__(self) -> None:
        if self.fixed_ms is not None:
            if self.fixed_ms < 0:
                raise ValueError("fixed_ms is negative")
        elif self.median_ms is None or self.p99_ms is None:
            raise ValueError("give fixed_ms, or median_ms and p99_ms")
        elif not 0 < self.median_ms <= self.p99_ms:
            raise ValueError("median_ms must be above 0 and at most p99_ms")

    def sample_ms(self, seed: int, key: bytes, attempt: int) -> float:
        if self.fixed_ms is not None:
            return self.fixed_ms
        if self.median_ms is None or self.p99_ms is None:  # __post_init__ lets neither by
            return 0.0
        chance = draw(seed, key, f"latency {attempt}")
        if self.median_ms == self.p99_ms or not chance:
            return self.median_ms
        mu, sigma = math.log(self.median_ms), math.log(self.p99_ms / self.median_ms) / Z99
        return min(max(math.exp(NormalDist(mu, sigma).inv_cdf(chance)), self.min_ms), self.cap_ms)


class TokenBucket:
    """``rpm`` requests a minute, refilled evenly, at most ``burst`` saved up. Starts full."""

    def __init__(self, rpm: float, burst: float) -> None:
        self.rpm, self.burst = rpm, burst
        self._tokens, self._at = burst, 0.0

    def take(self, now: float) -> float:
        """0 when the request may pass; otherwise the seconds until the next one may."""
        rate = self.rpm / 60
        if self._at:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / rate

    @property
    def remaining(self) -> int:
        return int(self._tokens)


class PrefixCache:
    """LRU over blocks of leading words: a block hits when it and all the text before it was seen."""

    def __init__(self, block: int, capacity: int) -> None:
        self._block, self._capacity = block, capacity
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def look_up_and_store(self, texts: Iterable[str]) -> int:
        """How many leading words of the prompt were cached. Stores the prompt's blocks."""
        words = " ".join(texts).split()
        cached, hit, chain = 0, True, b""
        for start in range(0, len(words) - self._block + 1, self._block):
            chain = blake2b(" ".join(words[start : start + self._block]).encode(), key=chain, digest_size=16).digest()
            hit = hit and chain in self._seen
            if hit:
                cached += self._block
            self._seen[chain] = None
            self._seen.move_to_end(chain)
        while len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        return cached
