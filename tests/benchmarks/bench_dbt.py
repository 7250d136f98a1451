"""What does a dbt model cost over the same statement in a script? 5,000 calls of 50 ms, 100 at once.

    python -m tests.benchmarks.bench_dbt [--rounds 3] [--calls 5000]

Three ways, in turns: `distil-sql run`, a dbt model that is `materialized='distil'` (demand, drain, dbt's own create
table), and an ordinary dbt table (blocking: each chunk of rows waits for its slowest call). `statement` is the time of
the one statement or model, as `distil.status` and dbt's `run_results.json` have it; `process` is the whole command,
where dbt needs some seconds to start and parse. The machine is shared, so compare ratios within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

import distil_sql
from distil_sql.dbt import PACKAGE
from tests.benchmarks.bench_throughput import models, prompts
from tests.fake_server import FakeServer

SELECT = "SELECT id, instruction, text_generation(instruction) AS answer FROM prompts"
WAYS = ("run", "distil", "table")
PROJECT = {
    "dbt_project.yml": "name: bench\nversion: '1.0'\nconfig-version: 2\nprofile: bench\n"
    "flags: {send_anonymous_usage_stats: false}\n",
    "packages.yml": f"packages: [{{local: '{PACKAGE}'}}]\n",
    "profiles.yml": "bench:\n  target: dev\n  outputs:\n    dev:\n      {type: duckdb, path: data.duckdb, threads: 4,"
    " plugins: [{module: distil_sql.dbt, config: {files: tasks.sql}}]}\n",
    "models/sources.yml": "sources: [{name: main, tables: [{name: prompts}]}]\n",
    "models/distil.sql": "{{ config(materialized='distil') }}\n"
    + SELECT.replace("prompts", "{{ source('main', 'prompts') }}"),
    "models/table.sql": "{{ config(materialized='table') }}\n"
    + SELECT.replace("prompts", "{{ source('main', 'prompts') }}"),
}


def dbt(folder: Path, *arguments: str) -> None:
    """A dbt command in the project; its output only where it fails."""
    code = "import sys; from dbt.cli.main import cli; cli(sys.argv[1:])"
    ended = subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(ended.stdout + ended.stderr)


def one(way: str, folder: Path, server: FakeServer, calls: int) -> tuple[float, float, float]:
    """Seconds of the statement, of the whole process, and of its CPU, on a database without answers."""
    database = folder / "data.duckdb"
    database.unlink(missing_ok=True)
    distil_sql.run(models(server, 100) + prompts(calls), database)
    server.reset()
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    if way == "run":
        script = folder / "script.sql"
        script.write_text(models(server, 100) + f"CREATE TABLE answers AS {SELECT};")
        subprocess.run(
            [sys.executable, "-m", "distil_sql", "run", "-q", script, "-d", database], cwd=Path.cwd(), check=True
        )
    else:
        dbt(folder, "-q", "run", "-s", way)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert server.stats()["answered"] == calls
    if way == "run":
        with duckdb.connect(str(database)) as con:
            query = "SELECT epoch(finished_at - started_at) FROM distil.status WHERE target = 'answers'"
            (statement,) = con.execute(query).fetchone() or (0.0,)
    else:
        statement = json.loads((folder / "target/run_results.json").read_text())["results"][0]["execution_time"]
    return float(statement), wall, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=5000)
    options = parser.parse_args()
    os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
    figures: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as place, FakeServer(latency={"fixed_ms": 50}) as server:
        folder = Path(place)
        for name, text in PROJECT.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        (folder / "tasks.sql").write_text(models(server, 100).replace("CREATE OR REPLACE", "CREATE"))
        dbt(folder, "deps")
        dbt(folder, "-q", "parse")
        for _ in range(options.rounds):
            for way in WAYS:
                statement, wall, cpu = one(way, folder, server, options.calls)
                figures[way].append(statement)
                print(f"  {way:7} statement {statement:5.2f} s, process {wall:5.2f} s, CPU {cpu:5.2f} s", flush=True)
    least = options.calls * 0.05 / 100
    middle = {way: statistics.median(figures[way]) for way in WAYS}
    ratios = [statistics.median(a / b for a, b in zip(figures[way], figures["run"], strict=True)) for way in WAYS]
    for way, ratio in zip(WAYS, ratios, strict=True):
        print(f"{way:7} median {middle[way]:.2f} s, {middle[way] / least:.2f} of ideal, {ratio:.2f} of distil-sql run")


if __name__ == "__main__":
    main()
