"""How close does a run come to the least time its calls can take? Wall over ideal, against a local server.

    python -m tests.benchmarks.bench_throughput [--only tail|single|flat|ceiling] [--rounds 3] [--profile]

Ideal is the sum of the latencies that the server imposed, over the concurrency; `window` is what a perfect sliding
window takes for the same latencies in the same order (one slow last call makes it longer than the ideal). `bare` is
what clients without a table, a ledger or a prompt take for the same calls in the same minute. The machine is shared, so
compare ratios. `--profile` samples where the engine's thread and the whole process spend their time.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import distil_sql
from tests.benchmarks.bench_http_clients import measure
from tests.fake_server import FakeServer

GRADE = """CREATE OR REPLACE LABELLER TASK grade(instruction VARCHAR, response VARCHAR)
RETURNS STRUCT(score INTEGER, reason VARCHAR)
PROMPT $$Instruction: {{ instruction }} Answer: {{ response }}$$;
"""
TAIL = {"median_ms": 50, "p99_ms": 1000, "cap_ms": 3000}


def models(server: FakeServer, concurrency: int) -> str:
    """Both models on the server, with a seed so that the samples of one prompt differ."""
    options = f"TYPE openai, model 'fake', base_url '{server.base_url}', concurrency {concurrency}, seed 1"
    return "".join(f"CREATE OR REPLACE MODEL {name} ({options});\n" for name in ("generator", "labeller"))


def run(script: str, database: Path) -> tuple[float, float, Any]:
    """Wall and CPU seconds of a run on a database that exists, and its end state."""
    wall, cpu = time.perf_counter(), time.process_time()
    state = distil_sql.run(script, database)
    return time.perf_counter() - wall, time.process_time() - cpu, state


def new_database(folder: Path, script: str) -> Path:
    """A database with the tasks and the prompts, made before anything is timed."""
    database = folder / f"{time.monotonic_ns()}.duckdb"
    distil_sql.run(GRADE + script, database)
    return database


def prompts(count: int) -> str:
    return f"CREATE TABLE prompts AS SELECT i AS id, 'Question number ' || i AS instruction FROM range({count}) t(i);"


def _span(line: Any) -> float:
    """Seconds from a statement's start to its end."""
    return float((line.finished_at - line.started_at).total_seconds())


def tail(folder: Path, server: FakeServer) -> float:
    """2,000 rows, two generations each, and 2,000 labels, with a heavy tail, 64 at once. Gives wall over ideal."""
    database = new_database(folder, prompts(2000))
    server.reset()
    server.configure(latency=TAIL)
    script = (
        models(server, 64)
        + """CREATE OR REPLACE TABLE generations AS
        SELECT *, text_generation_n(instruction, n := 2) AS responses FROM prompts;
        CREATE OR REPLACE TABLE labelled AS SELECT *, grade(instruction, responses[1]) AS grade FROM generations;"""
    )
    wall, cpu, state = run(script, database)
    latencies = server.latencies_ms()
    ideal = sum(latencies) / 1000 / 64
    lines = [line for line in state.lines if line.tally.total]
    spans = [_span(line) for line in lines]
    print(
        f"  tail     {len(latencies)} calls, mean {statistics.mean(latencies):.0f} ms: {wall:.2f} s of wall, ", end=""
    )
    print(f"ideal {ideal:.2f} s, window {server.window_s(64):.2f} s, wall/ideal {wall / ideal:.3f}; ", end="")
    print(f"statements {', '.join(f'{s:.2f} s' for s in spans)}; CPU {cpu * 1000 / len(latencies):.2f} ms a call")
    return wall / ideal


def flat(folder: Path, server: FakeServer) -> float:
    """5,000 calls of 50 ms, 100 at once. Gives the statement's wall over the ideal of 2.5 s."""
    database = new_database(folder, prompts(5000))
    server.reset()
    server.configure(latency={"fixed_ms": 50})
    script = models(server, 100) + "CREATE OR REPLACE TABLE g AS SELECT text_generation(instruction) AS x FROM prompts;"
    wall, cpu, state = run(script, database)
    table = _span(state.lines[-1])
    print(
        f"  flat     5000 calls of 50 ms, ideal 2.50 s: table to table {table:.2f} s, {table / 2.5:.3f} of it; ", end=""
    )
    print(f"the run, opening the file too, {wall:.2f} s, {wall / 2.5:.3f}; ", end="")
    print(f"CPU {cpu / 5:.2f} ms a call; bare pyreqwest {bare_pyreqwest(server, 5000, 100):.2f} s")
    return table / 2.5


def single(folder: Path, server: FakeServer) -> float:
    """5,000 calls with a heavy tail, 100 at once. Gives wall over that of a perfect window for the same draw."""
    database = new_database(folder, prompts(5000))
    server.reset()
    server.configure(latency=TAIL)
    script = models(server, 100) + "CREATE OR REPLACE TABLE g AS SELECT text_generation(instruction) AS x FROM prompts;"
    wall, cpu, _ = run(script, database)
    window = server.window_s(100)
    print(
        f"  single   5000 calls, heavy tail: {wall:.2f} s of wall, window {window:.2f} s, {wall / window:.3f} of it; ",
        end="",
    )
    print(f"CPU {cpu / 5:.2f} ms a call")
    return wall / window


def bare_pyreqwest(server: FakeServer, calls: int, concurrency: int) -> float:
    """Seconds that our HTTP client takes alone."""
    rate, _ = measure("pyreqwest", f"{server.base_url}/chat/completions", None, calls, concurrency, True)
    return calls / rate


def bare_openai(server: FakeServer, calls: int, concurrency: int) -> float:
    """Seconds that the openai package takes for as many calls."""
    from openai import AsyncOpenAI

    async def ask() -> float:
        async with AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
            left = iter(range(calls))

            async def worker() -> None:
                for number in left:
                    text = f"Question number {number}"
                    await client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])

            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "warm"}])
            started = time.perf_counter()
            await asyncio.gather(*(worker() for _ in range(concurrency)))
            return time.perf_counter() - started

    return asyncio.run(ask())


def ceiling(folder: Path, server: FakeServer) -> float:
    """20,000 rows of 1 ms, 256 at once; then all of them from the ledger. Gives rows a second."""
    rows = 20_000
    database = new_database(folder, prompts(rows))
    server.reset()
    server.configure(latency={"fixed_ms": 1})
    script = models(server, 256) + "CREATE OR REPLACE TABLE g AS SELECT text_generation(instruction) AS x FROM prompts;"
    wall, cpu, _ = run(script, database)
    print(f"  ceiling  {rows} rows: {rows / wall:,.0f} rows/s, CPU {cpu * 1000 / rows:.3f} ms a row; ", end="")
    again, cpu_again, state = run(script, database)
    hits = sum(line.tally.hits for line in state.lines)
    print(
        f"from the ledger {rows / again:,.0f} rows/s, CPU {cpu_again * 1000 / rows:.3f} ms a row ({hits} hits); ",
        end="",
    )
    bare = 2000 / bare_openai(server, 2000, 256)
    print(f"bare openai {bare:,.0f} calls/s: {rows / wall / bare:.1f} times that")
    return rows / wall


@contextmanager
def sampled(interval: float = 0.005) -> Iterator[None]:
    """Sample the stacks of this process's threads and print, for each thread, the functions most often on top."""
    tops: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    over = threading.Event()

    def sample() -> None:
        names: dict[int | None, str] = {}
        while not over.wait(interval):
            names.update({thread.ident: thread.name for thread in threading.enumerate()})
            for ident, frame in sys._current_frames().items():
                if ident != threading.get_ident():
                    code = frame.f_code
                    place = f"{Path(code.co_filename).name}:{code.co_name}:{frame.f_lineno}"
                    tops[names.get(ident, "duckdb")][place] += 1

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    yield
    over.set()
    sampler.join()
    for thread, places in tops.items():
        print(f"    {thread}: {sum(places.values())} samples")
        for place, count in places.most_common(8):
            print(f"      {count / sum(places.values()):5.0%}  {place}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"tail": tail, "single": single, "flat": flat, "ceiling": ceiling}
    parser.add_argument("--only", choices=parts)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, FakeServer() as server:
        for name in [options.only] if options.only else parts:
            figures = []
            for _ in range(options.rounds):
                if options.profile:
                    with sampled():
                        figures.append(parts[name](Path(folder), server))
                else:
                    figures.append(parts[name](Path(folder), server))
            print(f"{name}: median {statistics.median(figures):,.3f}")


if __name__ == "__main__":
    main()
