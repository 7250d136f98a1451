"""A watch on the embedded model's decodes and on memory."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distil_sql.models.llama_cpp.api import Context
from distil_sql.models.llama_cpp.api.library import LIBRARY


@dataclass
class Watch:
    """What was decoded. A decode of single tokens alone is of answers, any other of prompts."""

    seconds: float = 0.0
    """Inside llama.cpp."""
    all_decodes: int = 0
    decodes: int = 0
    """Of answers."""
    rows: int = 0
    """In those."""
    last_prompt: float = 0.0
    """When the last decode of prompts was, by `time.perf_counter`."""

    @property
    def rows_a_decode(self) -> float:
        return self.rows / max(1, self.decodes)


_OF_THE_LIBRARY = ("llama_decode", "llama_synchronize", "llama_memory_seq_cp", "llama_memory_seq_rm")


@contextlib.contextmanager
def watched() -> Iterator[Watch]:
    """Count what is decoded meanwhile."""
    watch, decode = Watch(), Context.decode
    functions = {name: getattr(LIBRARY, name) for name in _OF_THE_LIBRARY}

    def watched_decode(self: Context, parts: Any, **given: Any) -> int:
        code = decode(self, parts, **given)
        watch.all_decodes += 1
        if all(len(tokens) == 1 for _, _, tokens, _ in parts):
            watch.decodes += 1
            watch.rows += sum(output for _, _, _, output in parts)
        else:
            watch.last_prompt = time.perf_counter()
        return code

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            started = time.perf_counter()
            result = function(*given)
            watch.seconds += time.perf_counter() - started
            return result

        return call

    Context.decode = watched_decode  # type: ignore[method-assign]
    for name, function in functions.items():
        setattr(LIBRARY, name, timed(function))
    try:
        yield watch
    finally:
        Context.decode = decode  # type: ignore[method-assign]
        for name, function in functions.items():
            setattr(LIBRARY, name, function)


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
