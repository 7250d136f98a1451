"""A million rows: memory, cost a row, a rerun from the ledger, and how soon the database opens.

    python -m tests.benchmarks.bench_scale [--rows 1000000] [--small 10000] [--memory-limit 1GB]

Each step is a process of its own, whose peak memory is read when it ends. The server answers in 1 ms; DuckDB is held to
`--memory-limit`, and what a process takes beyond that is ours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fake_server import FakeServer

MODEL = "CREATE OR REPLACE MODEL generator (TYPE openai, model 'm', base_url '{url}', concurrency 256);\n"
PROMPTS = (
    "CREATE OR REPLACE TABLE prompts AS SELECT i AS id, 'Question number ' || i AS instruction FROM range({n}) t(i)"
)
ASK = """SET memory_limit = '{limit}';
CREATE OR REPLACE TABLE g AS SELECT id, text_generation(instruction) AS x FROM prompts"""
STEP = """
import json, resource, sys, time
import distil_sql
from distil_sql.session import Session
started, cpu = time.perf_counter(), time.process_time()
if sys.argv[2]:
    state = distil_sql.run(sys.argv[2], sys.argv[1])
    hits = sum(line.tally.hits for line in state.lines)
else:
    Session.open(sys.argv[1]).close()
    hits = 0
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([time.perf_counter() - started, time.process_time() - cpu, used.ru_maxrss * 1024, hits]))
"""


def step(database: Path, script: str) -> tuple[float, float, float, int]:
    """Wall and CPU seconds, peak bytes and ledger hits of a script run in a process of its own."""
    command = [sys.executable, "-c", STEP, str(database), script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    wall, cpu, peak, hits = json.loads(done.stdout.splitlines()[-1])
    return wall, cpu, peak, hits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--memory-limit", default="1GB")
    given = parser.parse_args()
    per_row: dict[int, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder, FakeServer(latency={"fixed_ms": 1}, track=False) as server:
        for rows in (given.small, given.rows):
            database = Path(folder) / f"{rows}.duckdb"
            step(database, MODEL.format(url=server.base_url) + PROMPTS.format(n=rows))
            ask = ASK.format(limit=given.memory_limit)
            wall, cpu, peak, _ = step(database, ask)
            per_row[rows] = wall / rows, cpu / rows
            print(f"{rows:>9,} rows: {rows / wall:7,.0f} rows/s, {cpu / rows * 1000:.3f} ms CPU a row, ", end="")
            print(f"peak {peak / 1e6:,.0f} MB (DuckDB's limit: {given.memory_limit})", flush=True)
            wall, cpu, peak, hits = step(database, ask)
            print(f"{'again':>9}: {rows / wall:12,.0f} rows/s, {cpu / rows * 1000:.4f} ms CPU a row, ", end="")
            print(f"peak {peak / 1e6:,.0f} MB, {hits:,} hits", flush=True)
            opened = min(step(database, "")[0] for _ in range(3))
            print(f"{'opening':>9}: {opened:.2f} s, a file of {database.stat().st_size / 1e6:,.0f} MB", flush=True)
    small, large = per_row[given.small], per_row[given.rows]
    print(
        f"a row of {given.rows:,} costs {large[0] / small[0]:.2f} (wall), {large[1] / small[1]:.2f} (CPU) of one ",
        end="",
    )
    print(f"of {given.small:,}")


if __name__ == "__main__":
    main()
