"""The embedded model against its bars: two sides in turns within one run, so that a neighbour's load falls on both.

    python -m tests.benchmarks.bench_llama                                   # a small model, some minutes
    python -m tests.benchmarks.bench_llama --only shuffled --only samples
    python -m tests.benchmarks.bench_llama --rows 64 --repeats 1 --model 135M-q8_0 --model 0.5B-q8_0 --model 0.5B-q4_0

The last are the sizes that the bars are set for; they take an hour and more on two cores.

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
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from distil_sql import api
from distil_sql.models.base import Completion, Request
from distil_sql.models.llama_cpp.machine import processors
from distil_sql.models.llama_cpp.options import KV_CACHES
from tests import made_up_gguf
from tests.benchmarks.llama_bench import Bench, peak
from tests.benchmarks.llama_watch import record, watched
from tests.benchmarks.row_by_row import Apart

DIGIT = {"type": "integer", "minimum": 1, "maximum": 9}
FORCED = {"relevance": DIGIT, "correctness": DIGIT, "confidence": DIGIT, "harmless": {"type": "boolean"}}
CONTEXT = 2048
LABELS = ("positive", "negative", "neutral", "mixed")


def rows(bench: Bench) -> tuple[float, str]:
    """the high-level API, row by row, against the batch"""
    tables = [bench.table(bench.rows // bench.repeats) for _ in range(2 * bench.repeats)]
    return against_row_by_row(bench, tables)


def ragged(bench: Bench) -> tuple[float, str]:
    """the same for rows of very different lengths"""
    table = bench.ragged(bench.rows // bench.repeats)
    return against_row_by_row(bench, [table, table[::-1]] * bench.repeats)


def against_row_by_row(bench: Bench, tables: list[list[Request]]) -> tuple[float, str]:
    """Each side takes every second table; both must give as many tokens as they may."""

    def whole(table: list[Request], tokens: list[int]) -> None:
        assert tokens == [request.sampling.max_tokens for request in table], "a side answered more or less than asked"

    def row_by_row(table: list[Request]) -> None:
        whole(table, [other.answer(request)[1] for request in table])

    def together(table: list[Request]) -> None:
        whole(table, [answer.output_tokens for answer in bench.ask(model, table)])

    other = Apart(bench.path, bench.threads, CONTEXT, n_gpu_layers=bench.gpu_layers)
    other.answer(bench.request("a", answer=1))  # it has been loaded
    model = bench.model()
    turns = iter(tables)
    found = bench.ratio(lambda: row_by_row(next(turns)), lambda: together(next(turns)), lambda: other.processor_seconds)
    bench.close(model)
    other.close()
    return found


def first(bench: Bench) -> tuple[float, str]:
    """when the first row is out, in terms of when the last prompt is read"""
    model, out = bench.model(), list[float]()

    async def one(request: Request) -> None:
        await model.complete(request)
        out.append(time.perf_counter())

    async def work() -> None:
        await asyncio.gather(*(one(request) for request in bench.table(bench.rows)))

    with watched() as watch:
        started = time.perf_counter()
        bench.runner.run(work())
    bench.close(model)
    begun, read = out[0] - started, watch.last_prompt - started
    return begun / read, f"after {begun:.2f} s of {out[-1] - started:.2f} s, the last prompt after {read:.2f} s"


def beside(bench: Bench) -> tuple[float, str]:
    """speed for each core that is free while another process keeps one busy, in terms of an idle machine's"""
    cores = processors()
    if cores < 2:
        return 1.0, "there is but one core"
    model = bench.model()

    def speed() -> float:
        table = bench.table(bench.rows // bench.repeats)
        started = time.perf_counter()
        bench.ask(model, table)
        return len(table) / (time.perf_counter() - started)

    idle = crowded = 0.0
    for _ in range(bench.repeats):
        idle += speed() / bench.repeats
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as neighbour:
            crowded += speed() / bench.repeats
            neighbour.kill()
    bench.close(model)
    said = f"{crowded:.2f} rows/s with {cores - 1} free, {idle:.2f} rows/s with {cores}"
    return crowded / (cores - 1) / (idle / cores), said


def schedule(bench: Bench) -> tuple[float, str]:
    """the share of a batch's time that llama.cpp itself takes for its schedule"""
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
    model, count = bench.model(), bench.short_rows or 20 * bench.rows
    with watched() as watch:
        bench.ask(model, [bench.request(f"{number}", answer=5) for number in range(count)])
    bench.close(model)
    return watch.rows_a_decode / bench.concurrency, f"{count} rows, {watch.rows_a_decode:.1f} of {bench.concurrency}"


def memory(bench: Bench) -> tuple[float, str]:
    """peak memory against weights and cache"""
    peak, cache = peak_of(bench)
    wanted = os.path.getsize(bench.path) + cache
    return peak / wanted, f"{peak / 1e6:.0f} MB against {wanted / 1e6:.0f} MB"


def kv_cache(bench: Bench) -> tuple[float, str]:
    """peak memory with a cache of q8_0 against one of f16"""
    small, large = (peak_of(replace(bench, kv_cache=kind)) for kind in ("q8_0", "f16"))
    said = f"{small[0] / 1e6:.0f} MB against {large[0] / 1e6:.0f} MB, of which cache {small[1] / 1e6:.0f} and"
    return small[0] / large[0], f"{said} {large[1] / 1e6:.0f} MB"


def peak_of(bench: Bench) -> tuple[int, int]:
    """`peak` in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_llama", "--memory-of", str(bench.path)]
    for option in ("concurrency", "shared", "own", "answer", "kv_cache", "gpu_layers"):
        command += [f"--{option.replace('_', '-')}", str(getattr(bench, option))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found, cache = (int(word) for word in done.stdout.split())
    return found, cache


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
    "kv_cache": (kv_cache, "at most", 0.9),
    "ragged": (ragged, "at least", 2.1),
    "first": (first, "at most", 1.0),
    "beside": (beside, "at least", 0.8),
}

MODELS = [f"{size}-{kind}" for size in made_up_gguf.SIZES for kind in ("q8_0", "q4_0", "f16")]

LARGER = {"0.5B-q8_0": 2.0, "0.5B-q4_0": 1.7}
"""Bars of rows and ragged where they are not those of the 135M."""


@click.command()
@click.option("--model", "names", type=click.Choice(MODELS), multiple=True, default=["10M-q8_0"], show_default=True)
@click.option("--rows", default=32, show_default=True, help="Rows that each side answers, in all its turns.")
@click.option("--concurrency", default=16, show_default=True)
@click.option("--shared", default=300, show_default=True, help="Tokens that all prompts begin with (about).")
@click.option("--own", default=50, show_default=True, help="Tokens of a prompt's own (about).")
@click.option("--answer", default=64, show_default=True, help="Most tokens of an answer.")
@click.option("--threads", default=processors(), show_default=True)
@click.option("--repeats", default=2, show_default=True, help="Turns that each side takes.")
@click.option("--only", type=click.Choice(list(BARS)), multiple=True, help="These bars alone.")
@click.option("--short-rows", default=0, help="Rows of the bar 'busy'; 0 is 20 times --rows.")
@click.option("--gpu-layers", default=0, show_default=True, help="Layers on a GPU (-1: all).")
@click.option("--kv-cache", type=click.Choice(list(KV_CACHES)), default="f16", show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="A folder for the models' files, to use them again.")
@click.option("--memory-of", type=click.Path(path_type=Path), hidden=True)
def main(names: Sequence[str], only: Sequence[str], keep: Path | None, memory_of: Path | None, **given: Any) -> None:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        if memory_of:
            click.echo("{} {}".format(*peak(Bench(path=memory_of, runner=runner, **given))))
            return
        for name in names:
            path = (keep or Path(folder)) / f"{name}.gguf"
            if not path.exists():
                size, quantisation = name.split("-")
                shape = made_up_gguf.SIZES[size]
                made_up_gguf.write(path, quantisation=quantisation, context=CONTEXT, endless=True, **shape)
            bench = Bench(path=path, runner=runner, **given)
            row = f"{bench.shared}+{bench.own} tokens and answers of {bench.answer}"
            click.echo(f"{name}, {row}, {bench.concurrency} sequences, {bench.threads} threads")
            for bar in only or BARS:
                _show(bench, bar)


def _show(bench: Bench, name: str) -> None:
    measure, side, bar = BARS[name]
    if name in ("rows", "ragged"):
        bar = LARGER.get(bench.path.stem, bar)
    found, said = measure(bench)
    met = found >= bar if side == "at least" else found <= bar
    click.echo(f"{'ok ' if met else 'NOT'} {name:<9} {found:5.2f} {side} {bar}: {measure.__doc__} ({said})")


if __name__ == "__main__":
    main()
