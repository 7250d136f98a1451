"""A watch on the embedded model's decodes and on memory."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distil_sql.models.llama_cpp.api import Context


@dataclass
class Watch:
    """Seconds inside llama.cpp, how full the decodes of answers (single tokens only) were, when the last other was."""

    seconds: float = 0.0
    all_decodes: int = 0
    decodes: int = 0
    rows: int = 0
    last_prompt: float = 0.0

    @property
    def rows_a_decode(self) -> float:
        return self.rows / max(1, self.decodes)


@contextlib.contextmanager
def watched() -> Iterator[Watch]:
    """Count what is decoded meanwhile."""
    watch, decode, copy = Watch(), Context.decode, Context.copy

    def watched_decode(self: Context, parts: Any, **given: Any) -> int:
        started = time.perf_counter()
        code = decode(self, parts, **given)
        watch.seconds += time.perf_counter() - started
        watch.all_decodes += 1
        if all(len(tokens) == 1 for _, _, tokens, _ in parts):
            watch.decodes += 1
            watch.rows += sum(output for _, _, _, output in parts)
        else:
            watch.last_prompt = time.perf_counter()
        return code

    def watched_copy(self: Context, source: int, target: int) -> None:
        started = time.perf_counter()
        copy(self, source, target)
        watch.seconds += time.perf_counter() - started

    Context.decode, Context.copy = watched_decode, watched_copy  # type: ignore[method-assign]
    try:
        yield watch
    finally:
        Context.decode, Context.copy = decode, copy  # type: ignore[method-assign]


def high_water() -> int:
    """Bytes that this process held at most."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def record(properties: Any) -> dict[str, Any]:
    """A schema of these fields."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
