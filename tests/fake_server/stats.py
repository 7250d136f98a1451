"""What the server counted, for ``GET /stats``. A reset makes a new ``Stats``; calls begun earlier count in the old one.

``requests`` = sum of ``status`` + ``dropped`` + ``abandoned`` + ``in_flight`` always holds.
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

LAST_USER_CHARS = 200


class Body:
    """One distinct request body: how often it came, how often it got past admission, how often it was answered."""

    __slots__ = ("admitted", "answered", "attempts", "last_user")

    def __init__(self) -> None:
        self.attempts = 0
        self.admitted = 0
        self.answered = 0
        self.last_user = ""


class Stats:
    def __init__(self, track: bool) -> None:
        self.track = track
        self.bodies: dict[bytes, Body] = {}
        # With tracking off, attempts are counted only for bodies that a fault or script matched.
        self.attempts: Counter[bytes] = Counter()
        self.latencies = array("d")  # ms, in order of arrival
        self.latency_sum_ms = 0.0
        self.requests = self.answered = self.repeats = self.answered_again = self.abandoned = self.dropped = 0
        self.in_flight = self.max_in_flight = 0
        self.accepted = self.rejected = 0
        self.connections = self.bytes_in = self.bytes_out = 0
        self.prompt_tokens = self.completion_tokens = self.cached_tokens = 0
        self.status: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.max_attempts = 0

    def begin(self, size: int) -> None:
        self.requests += 1
        self.bytes_in += size
        self.in_flight += 1
        if self.in_flight > self.max_in_flight:
            self.max_in_flight = self.in_flight

    def seen(self, key: bytes, last_user: str) -> Body | None:
        """The tracked body, with one attempt more; None when tracking is off."""
        if not self.track:
            return None
        body = self.bodies.get(key)
        if body is None:
            body = self.bodies[key] = Body()
            body.last_user = last_user[:LAST_USER_CHARS]
        body.attempts += 1
        if body.attempts > self.max_attempts:
            self.max_attempts = body.attempts
        if body.answered:
            self.repeats += 1
        return body

    def impose(self, latency_ms: float) -> int:
        self.latencies.append(latency_ms)
        self.latency_sum_ms += latency_ms
        return len(self.latencies) - 1

    def cut_short(self, slot: int, elapsed_ms: float) -> None:
        """The client left: what was imposed is what it waited."""
        self.latency_sum_ms += elapsed_ms - self.latencies[slot]
        self.latencies[slot] = elapsed_ms

    def report(self, latencies: bool = False, bodies: bool = False) -> dict[str, Any]:
        """The JSON of ``GET /stats``. ``latencies`` adds every one in ms, ``bodies`` every distinct request."""
        count = len(self.latencies)
        report: dict[str, Any] = {
            "requests": self.requests,
            "answered": self.answered,
            "abandoned": self.abandoned,
            "dropped": self.dropped,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "distinct": len(self.bodies) if self.track else None,
            "repeats": self.repeats if self.track else None,
            "answered_again": self.answered_again if self.track else None,
            "max_attempts": self.max_attempts if self.track else None,
            "status": dict(self.status),
            "faults": dict(self.faults),
            "rate_limit": {"accepted": self.accepted, "rejected": self.rejected},
            "latency": {
                "count": count,
                "sum_s": round(self.latency_sum_ms / 1000, 6),
                "mean_ms": round(self.latency_sum_ms / count, 4) if count else 0.0,
            },
            "connections": self.connections,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cached_tokens": self.cached_tokens,
        }
        if latencies:
            report["latencies_ms"] = [round(value, 3) for value in self.latencies]
        if bodies:
            report["bodies"] = {
                key.hex(): {"attempts": body.attempts, "answered": body.answered, "last_user": body.last_user}
                for key, body in self.bodies.items()
            }
        return report
