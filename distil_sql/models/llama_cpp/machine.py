"""What this process may use of the machine and of its container: memory still free, and processors.

A context too large is then an error and not the kernel's killer, and threads do not wait for a processor's turn.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from collections.abc import Collection, Iterator
from pathlib import Path

_MEMORY = (  # limit, in use, and what of that is files the kernel can drop
    ("/sys/fs/cgroup", "memory.max", "memory.current", ("inactive_file", "active_file")),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file",)),
)
_TIME = (("/sys/fs/cgroup", ("cpu.max",)), ("/sys/fs/cgroup/cpu", ("cpu.cfs_quota_us", "cpu.cfs_period_us")))


def available_bytes() -> int | None:
    """Bytes available to this machine and this container, the smaller of the two; None where nothing tells."""
    found = [_machine(), *(_container(*group) for group in _MEMORY)]
    return min((size for size in found if size is not None), default=None)


def processors() -> int:
    """How many processors this process may keep busy, by its affinity and its container's share of their time."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = (_share(*group) for group in _TIME)
    return min([here, *(max(1, round(share)) for share in shares if share is not None)])


class Pages:
    """What this process has in memory of files, by mapping them from now on.

    llama.cpp copies weights into another order where that is faster, and the file's then stay beside the copies.
    """

    def __init__(self, paths: Collection[str]) -> None:
        self._paths = {os.path.realpath(path) for path in paths}
        self._others = set(self._mapped())

    def forget(self) -> None:
        """Let go of it; what is touched again is read again.

        Nobody else may unmap these files meanwhile: their place may be another's a moment later.
        """
        for start, end in set(self._mapped()) - self._others:
            with contextlib.suppress(AttributeError):
                ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)

    def _mapped(self) -> Iterator[tuple[int, int]]:
        with contextlib.suppress(OSError, ValueError):  # only Linux tells what is mapped where
            for line in Path("/proc/self/maps").read_text().splitlines():
                place, _, _, _, _, *name = line.split(maxsplit=5)
                if name and name[0] in self._paths:
                    start, end = place.split("-")
                    yield int(start, 16), int(end, 16)


def _machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _container(folder: str, limit: str, used: str, dropped: tuple[str, ...]) -> int | None:
    try:
        free = int(Path(folder, limit).read_text()) - int(Path(folder, used).read_text())
        statistics = dict(line.split() for line in Path(folder, "memory.stat").read_text().splitlines())
        return max(0, free + sum(int(statistics.get(name, 0)) for name in dropped))
    except (OSError, ValueError):  # no such group, or a limit of "max"
        return None


def _share(folder: str, names: tuple[str, ...]) -> float | None:
    """Processors' time a container may take in a period, in periods."""
    try:
        quota, period = (int(word) for name in names for word in Path(folder, name).read_text().split())
    except (OSError, ValueError):  # no such group, or a quota of "max"
        return None
    return quota / period if quota > 0 < period else None  # -1 is no limit
