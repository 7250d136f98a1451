"""How many threads decode: what helps here and now."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from distil_sql.models.llama_cpp import machine
from distil_sql.models.llama_cpp.threads import Threads

Machine = Callable[[int, int], float]
"""Seconds that a decode of so many tokens takes with so many threads."""


def free(processors: int) -> Machine:
    """Threads beyond the free processors wait for their turns, and all others for them."""

    def seconds(size: int, threads: int) -> float:
        return size / 100 / threads * math.ceil(threads / processors) * (1.3 if threads > processors else 1.0)

    return seconds


def drive(threads: Threads, machine: Machine, decodes: int, sizes: tuple[int, ...] = (16,)) -> list[int]:
    counts = []
    for size in itertools.islice(itertools.cycle(sizes), decodes):
        counts.append(threads.count(size))
        threads.took(size, machine(size, counts[-1]))
    return counts


def test_idle_processors_are_all_used_and_seldom_doubted() -> None:
    counts = drive(Threads(8), free(8), 1000)
    assert counts.count(8) > 970


@pytest.mark.parametrize("sizes", [(16,), (128,), (128, 16), (1, 2, 16, 100)], ids=str)
def test_threads_leave_busy_processors_and_come_back(sizes: tuple[int, ...]) -> None:
    threads = Threads(2)
    crowded = drive(threads, free(1), 400, sizes)
    assert crowded[100:].count(1) > 0.9 * len(crowded[100:])
    alone = drive(threads, free(2), 400, sizes)
    assert alone[200:].count(2) > 0.9 * len(alone[200:])
    again = drive(threads, free(1), 100, sizes)
    assert again[30:].count(1) > 0.8 * len(again[30:])  # slower than usual: it is seen at once


def test_the_count_among_many_is_found_step_by_step() -> None:
    threads = Threads(16)
    counts = drive(threads, free(6), 600)
    assert counts[200:].count(6) > 0.9 * 400
    assert 1 not in counts


def test_one_thread_has_no_rival() -> None:
    assert set(drive(Threads(1), free(1), 600)) == {1}
    assert set(drive(Threads(4, steady=True), free(1), 600)) == {4}


@pytest.mark.parametrize(
    ("files", "most"),
    [
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, None),
        ({}, None),
    ],
)
def test_a_container_has_its_share_of_the_processors(
    files: dict[str, str], most: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _pid: set(range(64)), raising=False)
    monkeypatch.setattr(machine, "_TIME", ((str(tmp_path), ("cpu.max",)),))
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert machine.processors() == (most or 64)


def test_the_older_form_of_a_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _pid: set(range(64)), raising=False)
    monkeypatch.setattr(machine, "_TIME", ((str(tmp_path), names),))
    (tmp_path / names[1]).write_text("100000")
    for quota, most in (("300000", 3), ("-1", 64)):
        (tmp_path / names[0]).write_text(quota)
        assert machine.processors() == most
