"""How much memory this process may still take, so that a context too large is an error and not the kernel's killer."""

from __future__ import annotations

from pathlib import Path

_CGROUPS = (  # limit, in use, and what of that is files the kernel can drop
    ("/sys/fs/cgroup", "memory.max", "memory.current", ("inactive_file", "active_file")),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file",)),
)


def available_bytes() -> int | None:
    """Bytes available to this machine and this container, the smaller of the two; None where nothing tells."""
    found = [_machine(), *(_container(*group) for group in _CGROUPS)]
    return min((size for size in found if size is not None), default=None)


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
