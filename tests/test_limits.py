"""The limits of a server: buckets, the window that is found, the circuit, what the server tells; and the backlog."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import distil_sql
from distil_sql.engine.backlog import Backlog
from distil_sql.engine.limits import Bucket, Limits
from distil_sql.models.base import Told
from distil_sql.models.headers import told_in
from tests.fake_server import FakeServer


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_never_lets_more_through_than_its_rate() -> None:
    clock = Clock()
    bucket = Bucket(600, clock)
    passed = 0
    for _ in range(6000):
        if bucket.wait(1) == 0:
            bucket.take(1)
            passed += 1
        clock.now += 0.01
    assert 595 <= passed <= 606


def test_a_token_estimate_is_corrected_by_usage() -> None:
    clock = Clock()
    limits = Limits(8, tpm=6000, clock=clock)
    limits.start()
    limits.answered(3000)
    wait = limits.delay(0)
    assert wait is not None
    assert wait > 5, "3,000 tokens at 6,000 a minute take half a minute to earn"


def test_the_window_doubles_until_the_first_rejection_and_shrinks_once_a_burst() -> None:
    clock = Clock()
    limits = Limits(clock=clock)
    start = limits.window
    for _ in range(int(start)):
        limits.answered(1)
    assert limits.window == 2 * start
    for _ in range(10):
        limits.rejected(1.0)
    assert limits.window == 1.5 * start
    assert limits.delay(0) == pytest.approx(1.0)
    clock.now += 3
    before = limits.window
    for _ in range(int(before) + 1):
        limits.answered(1)
    assert limits.window == before + 1


def test_a_given_concurrency_is_kept() -> None:
    limits = Limits(4, clock=Clock())
    for _ in range(100):
        limits.answered(1)
    assert limits.delay(3) == 0
    assert limits.delay(4) is None


def test_a_stray_rejection_holds_up_little_and_a_burst_of_them_much() -> None:
    """Without a word of how long to wait: a quota that others use too now and then has no room for one call."""
    clock = Clock()
    limits = Limits(8, clock=clock)
    for _ in range(50):
        limits.answered(1)
    limits.rejected(None)
    assert 0 < (limits.delay(0) or 0) <= 0.2
    clock.now += 2
    for _ in range(12):
        limits.rejected(None)
    assert (limits.delay(0) or 0) >= 0.5


def test_the_circuit_opens_after_many_failures_and_closes_with_an_answer() -> None:
    clock = Clock()
    limits = Limits(8, clock=clock)
    for _ in range(20):
        limits.trouble()
    assert limits.delay(0) == pytest.approx(0.5)
    clock.now += 1
    assert limits.delay(0) == 0
    assert limits.delay(1) is None, "one call at a time tries the server"
    limits.answered(1)
    assert limits.delay(7) == 0


def test_what_the_server_tells_is_kept_to_unless_the_user_said_otherwise() -> None:
    clock = Clock()
    limits = Limits(64, clock=clock)
    limits.told(Told(600, None))
    wait = limits.delay(0)
    assert wait is not None
    assert 0 < wait <= 0.11
    own = Limits(64, rpm=60_000, clock=clock)
    own.told(Told(600, None))
    assert own.delay(0) == 0


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "expected"),
    [
        ("600", "599", "100ms", 600),
        ("600", "0", "1m0s", 600),
        ("10000", "9999", "8.64s", None),  # a day's limit says little of a minute
        ("600", "0", "", 600),
        ("600", "600", "0s", None),
        ("many", "0", "1s", None),
    ],
)
def test_limits_are_read_from_headers(limit: str, remaining: str, reset: str, expected: float | None) -> None:
    told = told_in(
        {
            "x-ratelimit-limit-requests": limit,
            "x-ratelimit-remaining-requests": remaining,
            "x-ratelimit-reset-requests": reset,
        }
    )
    assert (told.requests_a_minute if told else None) == (pytest.approx(expected) if expected else None)


def test_the_backlog_keeps_prompts_that_begin_alike_together() -> None:
    backlog = Backlog()
    prompts = ["b 2", "a 1", "b 1", "a 2"]
    calls: list[Any] = [SimpleNamespace(messages=prompt) for prompt in prompts]
    backlog.add(calls[:3])
    backlog.add(calls[3:])
    returned: Any = SimpleNamespace(messages="z")
    backlog.add_first(returned)
    assert backlog.peek() is returned
    assert [backlog.pop().messages for _ in range(len(backlog))] == ["z", "a 1", "a 2", "b 1", "b 2"]
    backlog.add(calls)
    assert len(backlog.clear()) == 4
    assert len(backlog) == 0


def test_the_window_grows_while_nothing_new_is_asked_for(fake_server: FakeServer) -> None:
    fake_server.configure(latency={"fixed_ms": 100})
    model = f"CREATE MODEL generator (TYPE openai, model 'm', base_url '{fake_server.base_url}');"
    distil_sql.run(f"{model} CREATE TABLE t AS SELECT text_generation('a' || i) FROM range(600) r(i);", ":memory:")
    assert fake_server.stats()["max_in_flight"] > 64
