"""The embedded model against its bars: two sides in turns within one run, so that a neighbour's load falls on both.

    python -m tests.benchmarks.bench_llama                                   # a small model, some minutes
    python -m tests.benchmarks.bench_llama --size 135M --rows 64             # the size that the bars are set for
    python -m tests.benchmarks.bench_llama --only shuffled --only samples

Weights are made up, answers greedy. A bar is met or not by the wall's time; the ratio by processor time, which a busy
machine disturbs less, stands beside it.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from distil_sql import api
from distil_sql.models.base import Completion, Message, Request, Sampling
from distil_sql.models.llama_cpp import LlamaModel, LlamaOptions
from distil_sql.models.llama_cpp.options import processors
from tests import made_up_gguf
from tests.benchmarks.llama_baselines import RowByRow, high_water, record, watched

DIGIT = {"type": "integer", "minimum": 1, "maximum": 9}
FORCED = {"relevance": DIGIT, "correctness": DIGIT, "confidence": DIGIT, "harmless": {"type": "boolean"}}
LABELS = ("positive", "negative", "neutral", "mixed")


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
    runner: asyncio.Runner

    def __post_init__(self) -> None:
        self._draw = random.Random(0)

    def model(self, **given: Any) -> LlamaModel:
        """A model that is loaded and has its context."""
        model = self.cold(**given)
        self.ask(model, [self.request(self.words(self.shared + self.own))])
        return model

    def cold(self, **given: Any) -> LlamaModel:
        return LlamaModel(LlamaOptions(str(self.path), concurrency=self.concurrency, threads=self.threads, **given))

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

    def ask(self, model: LlamaModel, requests: Sequence[Request]) -> list[Completion]:
        async def work() -> list[Completion]:
            return list(await asyncio.gather(*(model.complete(request) for request in requests)))

        return self.runner.run(work())

    def close(self, model: LlamaModel) -> None:
        self.runner.run(model.close())

    def ratio(self, one: Callable[[], object], other: Callable[[], object]) -> tuple[float, str]:
        """How many times as long `one` takes, by the wall; and a sentence with the rest."""
        wall, cpu = [0.0, 0.0], [0.0, 0.0]
        for _ in range(self.repeats):
            for place, side in enumerate((one, other)):
                started = time.perf_counter(), time.process_time()
                side()
                wall[place] += time.perf_counter() - started[0]
                cpu[place] += time.process_time() - started[1]
        said = f"{wall[0]:.2f} s against {wall[1]:.2f} s; by processor time {cpu[0] / max(cpu[1], 1e-9):.2f}"
        return wall[0] / wall[1], said


def rows(bench: Bench) -> tuple[float, str]:
    """the high-level API, row by row, against the batch"""
    model, other = bench.model(), RowByRow(bench.path, bench.threads, 2 * (bench.shared + bench.own + bench.answer))
    tables = [bench.table(bench.rows // bench.repeats) for _ in range(2 * bench.repeats)]
    found = bench.ratio(lambda: [other.answer(r) for r in tables.pop()], lambda: bench.ask(model, tables.pop()))
    bench.close(model)
    return found


def schedule(bench: Bench) -> tuple[float, str]:
    """the share of a batch's time that llama_decode takes"""
    model = bench.model()
    with watched() as watch:
        started = time.perf_counter()
        bench.ask(model, bench.table(bench.rows))
        took = time.perf_counter() - started
    bench.close(model)
    return watch.seconds / took, f"{watch.seconds:.2f} s of {took:.2f} s"


def grammar(bench: Bench) -> tuple[float, str]:
    """free answers against strings under a grammar, of as many tokens"""
    schema = record({"t": {"type": "string", "minLength": 1000}})
    model = bench.model()
    found = bench.ratio(
        lambda: bench.ask(model, bench.table(bench.rows // bench.repeats)),
        lambda: bench.ask(model, bench.table(bench.rows // bench.repeats, schema=schema)),
    )
    bench.close(model)
    return found


def forced(bench: Bench) -> tuple[float, str]:
    """free answers against records of small numbers, of as many tokens"""
    model, schema = bench.model(), record(FORCED)
    (shown,) = bench.ask(model, bench.table(1, schema=schema))
    found = bench.ratio(
        lambda: bench.ask(model, bench.table(bench.rows // bench.repeats, answer=shown.output_tokens)),
        lambda: bench.ask(model, bench.table(bench.rows // bench.repeats, schema=schema)),
    )
    bench.close(model)
    return found[0], f"{found[1]}; {shown.output_tokens} tokens, 4 of them chosen"


def labels(bench: Bench) -> tuple[float, str]:
    """labels written out under a grammar against labels read from scores"""
    written = record({"a": {"enum": list(LABELS)}, "b": {"const": 1}})  # no closed set: it has two fields
    model = bench.model()
    found = bench.ratio(
        lambda: bench.ask(model, bench.table(bench.rows // bench.repeats, schema=written)),
        lambda: bench.ask(
            model, bench.table(bench.rows // bench.repeats, schema=record({"value": {"enum": list(LABELS)}}))
        ),
    )
    bench.close(model)
    return found


def samples(bench: Bench) -> tuple[float, str]:
    """four samples of one prompt against one"""
    model = bench.model()

    def asked(count: int) -> list[Completion]:
        text = bench.words(bench.shared + bench.own)
        return bench.ask(model, [bench.request(text, sample=sample) for sample in range(count)])

    found = bench.ratio(lambda: [asked(4) for _ in range(3)], lambda: [asked(1) for _ in range(3)])
    bench.close(model)
    return found


def shuffled(bench: Bench) -> tuple[float, str]:
    """a table of several shared beginnings in shuffled order against the same sorted"""
    model = bench.model()
    order = random.Random(1)

    def table(mixed: bool) -> list[Completion]:
        found = bench.table(bench.rows // bench.repeats, groups=4)
        return bench.ask(model, order.sample(found, len(found)) if mixed else found)

    found = bench.ratio(lambda: table(True), lambda: table(False))
    bench.close(model)
    return found


def sql(bench: Bench) -> tuple[float, str]:
    """a statement run over a table against the model alone"""
    many, system, con = bench.rows // bench.repeats, bench.words(bench.shared), api.connect()
    api.run(
        f"""CREATE MODEL generator (TYPE llama_cpp, path '{bench.path}', concurrency {bench.concurrency},
                threads {bench.threads}, temperature 0, max_tokens {bench.answer});
            CREATE GENERATOR TASK say(t VARCHAR) RETURNS VARCHAR SYSTEM $${system}$$ PROMPT $${{{{ t }}}}$$
                WITH (truncated 'keep');
            CREATE TABLE said AS SELECT say('{bench.words(bench.own)}') AS x;""",
        con,
    )
    model = bench.model()

    def run() -> None:
        texts = ", ".join(f"'{bench.words(bench.own)}'" for _ in range(many))
        api.run(f"CREATE OR REPLACE TABLE said AS SELECT say(t) AS x FROM (SELECT unnest([{texts}]) AS t);", con)

    def alone() -> None:
        bench.ask(model, [bench.request(bench.words(bench.own), system) for _ in range(many)])

    found = bench.ratio(run, alone)
    bench.close(model)
    con.close()
    return found


def busy(bench: Bench) -> tuple[float, str]:
    """how many of the sequences are busy while short rows come and go"""
    model, count = bench.model(), 20 * bench.rows
    with watched() as watch:
        bench.ask(model, [bench.request(f"{number}", answer=5) for number in range(count)])
    bench.close(model)
    return watch.rows_a_decode / bench.concurrency, f"{count} rows, {watch.rows_a_decode:.1f} of {bench.concurrency}"


def memory(bench: Bench) -> tuple[float, str]:
    """peak memory against weights and cache"""
    command = [sys.executable, "-m", "tests.benchmarks.bench_llama", "--memory-of", str(bench.path)]
    size = (bench.concurrency, bench.shared, bench.own, bench.answer)
    for option, value in zip(("--concurrency", "--shared", "--own", "--answer"), size, strict=True):
        command += [option, str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, cache = (int(word) for word in done.stdout.split())
    wanted = os.path.getsize(bench.path) + cache
    return peak / wanted, f"{peak / 1e6:.0f} MB against {wanted / 1e6:.0f} MB"


def peak(bench: Bench) -> tuple[int, int]:
    """What a batch adds to this process's peak memory, and how many bytes its cache has."""
    import llama_cpp

    assert llama_cpp
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = high_water()
    model = bench.cold(mmap=False)
    bench.ask(model, bench.table(2 * bench.concurrency, answer=4))
    assert model._loaded is not None
    batch = model._loaded.batch
    assert batch._context is not None
    cache = batch._context.cells * batch._context.sequences * model._loaded.weights.cell_bytes()
    added = high_water() - before
    bench.close(model)
    return added, cache


BARS: dict[str, tuple[Callable[[Bench], tuple[float, str]], str, float]] = {
    "rows": (rows, "at least", 2.1),
    "schedule": (schedule, "at least", 0.97),
    "grammar": (grammar, "at least", 0.85),
    "forced": (forced, "at least", 1.0),
    "labels": (labels, "at least", 0.9),
    "samples": (samples, "at most", 1.7),
    "shuffled": (shuffled, "at most", 1.1),
    "sql": (sql, "at most", 1.05),
    "busy": (busy, "at least", 0.9),
    "memory": (memory, "at most", 1.1),
}


@click.command()
@click.option("--size", type=click.Choice(list(made_up_gguf.SIZES)), default="10M", show_default=True)
@click.option("--quantisation", type=click.Choice(["q8_0", "q4_0", "f16"]), default="q8_0", show_default=True)
@click.option("--rows", default=32, show_default=True)
@click.option("--concurrency", default=16, show_default=True)
@click.option("--shared", default=300, show_default=True, help="Tokens that all prompts begin with (about).")
@click.option("--own", default=50, show_default=True, help="Tokens of a prompt's own (about).")
@click.option("--answer", default=64, show_default=True, help="Most tokens of an answer.")
@click.option("--threads", default=processors(), show_default=True)
@click.option("--repeats", default=2, show_default=True, help="Turns that each side takes.")
@click.option("--only", type=click.Choice(list(BARS)), multiple=True, help="These bars alone.")
@click.option("--memory-of", type=click.Path(path_type=Path), hidden=True)
def main(size: str, quantisation: str, only: Sequence[str], memory_of: Path | None, **given: Any) -> None:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        if memory_of:
            click.echo("{} {}".format(*peak(Bench(path=memory_of, runner=runner, **given))))
            return
        path = made_up_gguf.write(
            Path(folder) / "model.gguf", quantisation=quantisation, context=2048, **made_up_gguf.SIZES[size]
        )
        bench = Bench(path=path, runner=runner, **given)
        row = f"{bench.shared}+{bench.own} tokens and answers of {bench.answer}"
        click.echo(f"{size} {quantisation}, {row}, {bench.concurrency} sequences, {bench.threads} threads")
        for name in only or BARS:
            measure, side, bar = BARS[name]
            found, said = measure(bench)
            met = found >= bar if side == "at least" else found <= bar
            click.echo(f"{'ok ' if met else 'NOT'} {name:<9} {found:5.2f} {side} {bar}: {measure.__doc__} ({said})")


if __name__ == "__main__":
    main()
