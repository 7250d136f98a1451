"""One model file, rows of one size, and two sides measured in turns: what every measure of the embedded model needs."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distil_sql.models.base import Completion, Message, Request, Sampling
from distil_sql.models.llama_cpp import LlamaModel, LlamaOptions
from distil_sql.models.llama_cpp.header import BLOCKS
from distil_sql.models.llama_cpp.options import KV_CACHES
from tests.benchmarks.llama_watch import high_water


@dataclass
class Bench:
    """The model file, the size of a row, and one event loop."""

    path: Path
    rows: int
    concurrency: int
    shared: int
    own: int
    answer: int
    threads: int
    repeats: int
    gpu_layers: int
    kv_cache: str
    short_rows: int
    runner: asyncio.Runner

    def __post_init__(self) -> None:
        self._draw = random.Random(0)

    def model(self, **given: Any) -> LlamaModel:
        """A model that is loaded and has its context."""
        model = self.cold(**given)
        self.ask(model, [self.request(self.words(self.shared + self.own))])
        return model

    def cold(self, **given: Any) -> LlamaModel:
        options = {"threads": self.threads, "gpu_layers": self.gpu_layers, "kv_cache": self.kv_cache, **given}
        return LlamaModel(LlamaOptions(str(self.path), concurrency=self.concurrency, **options))

    def words(self, count: int) -> str:
        syllables = (self._draw.choice("bcdfghjklmnprstvwz") + self._draw.choice("aeiou") for _ in range(count - 10))
        return " ".join(syllables)

    def request(self, text: str, system: str = "", answer: int | None = None, **given: Any) -> Request:
        messages: tuple[Message, ...] = ({"role": "user", "content": text},)
        if system:
            messages = ({"role": "system", "content": system}, *messages)
        return Request(messages, Sampling(temperature=0, max_tokens=answer or self.answer), **given)

    def table(self, rows: int, groups: int = 1, **given: Any) -> list[Request]:
        """Rows of as many shared beginnings as there are groups, sorted."""
        systems = [self.words(self.shared) for _ in range(groups)]
        return [self.request(self.words(self.own), systems[i * groups // rows], **given) for i in range(rows)]

    def ragged(self, rows: int) -> list[Request]:
        """Rows of one beginning whose own prompts and answers are of a quarter to four times the usual length."""
        system, draw = self.words(self.shared), random.Random(2)

        def about(length: int) -> int:
            return max(11, int(length * 4 ** draw.uniform(-1, 1)))

        return [self.request(self.words(about(self.own)), system, about(self.answer)) for _ in range(rows)]

    def ask(self, model: LlamaModel, requests: Sequence[Request]) -> list[Completion]:
        async def work() -> list[Completion]:
            return list(await asyncio.gather(*(model.complete(request) for request in requests)))

        return self.runner.run(work())

    def close(self, model: LlamaModel) -> None:
        self.runner.run(model.close())

    def ratio(
        self, one: Callable[[], object], other: Callable[[], object], elsewhere: Callable[[], float] = lambda: 0.0
    ) -> tuple[float, str]:
        """How many times as long `one` takes, by the wall; and a sentence with the rest.

        `elsewhere` tells the processor time of another process that works for them.
        """
        wall, cpu = [0.0, 0.0], [0.0, 0.0]
        for _ in range(self.repeats):
            for place, side in enumerate((one, other)):
                started = time.perf_counter(), time.process_time() + elsewhere()
                side()
                wall[place] += time.perf_counter() - started[0]
                cpu[place] += time.process_time() + elsewhere() - started[1]
        said = f"{wall[0]:.2f} s against {wall[1]:.2f} s; by processor time {cpu[0] / max(cpu[1], 1e-9):.2f}"
        return wall[0] / wall[1], said


def peak(bench: Bench) -> tuple[int, int]:
    """What a batch adds to this process's peak memory, and how many bytes its cache has."""
    from distil_sql.models.llama_cpp.api import library

    assert library.LIBRARY  # what it takes by itself is not counted
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = high_water()
    model = bench.cold()
    bench.ask(model, bench.table(2 * bench.concurrency, answer=4))
    assert model._loaded is not None
    batch = model._loaded.batch
    assert batch._context is not None
    cell = model._loaded.weights.cell_bytes(BLOCKS[KV_CACHES[bench.kv_cache]])
    cache = batch._context.cells * batch._context.sequences * cell
    added = high_water() - before
    bench.close(model)
    return added, cache
