"""How fast is a query that waits for its calls, on a connection of the user's? Wall over ideal, and beside a run.

    python -m tests.benchmarks.bench_blocking [--only flat|tail|filter|nested] [--rounds 3]

`flat` is 5,000 calls of 50 ms, 100 at once; `tail` 4,000 calls with a heavy tail, 64 at once; `filter` 2,000 rows of
100,000 behind a WHERE, which DuckDB hands over some 40 at a time; `nested` a task in a task. Ideal is the sum of the
latencies that the server imposed, over the concurrency. The machine is shared, so compare ratios.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

import distil_sql
from tests.benchmarks.bench_throughput import TAIL
from tests.fake_server import FakeServer

TABLES = """CREATE TABLE prompts AS SELECT i AS id, 'Question number ' || i AS instruction FROM range(100000) t(i);
CREATE TABLE flat AS FROM prompts LIMIT 5000; CREATE TABLE tail AS FROM prompts LIMIT 4000;
CREATE TABLE nested AS FROM prompts LIMIT 2000;"""
PARTS: dict[str, tuple[int, object, str]] = {
    "flat": (100, {"fixed_ms": 50}, "SELECT id, text_generation(instruction) AS x FROM flat"),
    "tail": (64, TAIL, "SELECT id, text_generation(instruction) AS x FROM tail"),
    "filter": (100, {"fixed_ms": 50}, "SELECT id, text_generation(instruction) AS x FROM prompts WHERE id % 50 = 0"),
    "nested": (64, TAIL, "SELECT text_generation('So: ' || text_generation(instruction)) AS x FROM nested"),
}


def blocking(con: duckdb.DuckDBPyConnection, query: str) -> int:
    """The rows of a query that waits."""
    return len(con.execute(query).fetchall())


def as_table(con: duckdb.DuckDBPyConnection, query: str) -> int:
    """The same as a table, from a relation."""
    con.sql(query).create("made")
    return con.table("made").shape[0]


def ahead(con: duckdb.DuckDBPyConnection, query: str) -> int:
    """The same through `distil_sql.sql`, which makes every call before a row is read."""
    return len(distil_sql.sql(query, con).fetchall())


def as_run(con: duckdb.DuckDBPyConnection, query: str) -> int:
    """The same in a script: demand, drain, replay."""
    return distil_sql.run(f"CREATE TABLE made AS {query};", con).lines[-1].tally.rows


Way = Callable[[duckdb.DuckDBPyConnection, str], int]
WAYS: dict[str, Way] = {"query": blocking, "relation": as_table, "sql": ahead, "run": as_run}


def measure(folder: Path, server: FakeServer, part: str, way: str) -> float:
    """Wall over ideal of one part, asked one way."""
    concurrency, latency, query = PARTS[part]
    database = folder / f"{time.monotonic_ns()}.duckdb"
    options = f"TYPE openai, model 'fake', base_url '{server.base_url}', concurrency {concurrency}, seed 1"
    distil_sql.run(f"CREATE MODEL generator ({options}); {TABLES}", database)
    server.reset()
    server.configure(latency=latency)
    with duckdb.connect(str(database)) as con:
        distil_sql.register(con)
        wall, cpu = time.perf_counter(), time.process_time()
        rows = WAYS[way](con, query)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    latencies = server.latencies_ms()
    ideal = sum(latencies) / 1000 / concurrency
    print(f"  {part:7} {way:9} {rows} rows, {len(latencies)} calls: {wall:.2f} s, ideal {ideal:.2f} s, ", end="")
    print(f"window {server.window_s(concurrency):.2f} s, wall/ideal {wall / ideal:.2f}, CPU {cpu:.2f} s")
    return wall / ideal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, FakeServer() as server:
        for part in [options.only] if options.only else PARTS:
            for way in [options.way] if options.way else WAYS:
                figures = [measure(Path(folder), server, part, way) for _ in range(options.rounds)]
                print(f"{part} {way}: median {statistics.median(figures):.2f}")


if __name__ == "__main__":
    main()
