"""How much memory this process may still take, so that a context too large is an error and not the kernel's killer."""

from __future__ import annotations

from pathlib import Path

_CGROUPS = (  # limit, in use
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def available_bytes() -> int | None:
    """Bytes available to this machine and this container, the smaller of the two; None where nothing tells."""
    found = [_machine(), *(_container(*paths) for paths in _CGROUPS)]
    return min((size for size in found if size is not None), default=None)


def _machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def _container(limit: str, used: str) -> int | None:
    try:
        return max(0, int(Path(limit).read_text()) - int(Path(used).read_text()))
    except (OSError, ValueError):  # no such group, or a limit of "max"
        return None
