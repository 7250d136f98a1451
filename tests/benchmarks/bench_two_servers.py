"""Generator and labeller on a server each: wall time of one script, against running its two statements in turn.

    python -m tests.benchmarks.bench_two_servers [--rows 2000] [--rounds 3]

Each server allows as many calls at once as the script asks for; its latencies have a heavy tail. In turn, the labels
begin when the last generation is there; overlapped, when the first is. The tables must be the same.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import duckdb

from distil_sql.pipeline import RunOptions, run
from tests.benchmarks.bench_throughput import TAIL, new_database, prompts
from tests.fake_server import FakeServer

SCRIPT = """CREATE OR REPLACE TABLE generations AS
SELECT *, text_generation(instruction) AS response FROM prompts;
CREATE OR REPLACE TABLE labelled AS SELECT *, grade(instruction, response) AS grade FROM generations;"""
CONCURRENCY = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    taken: dict[bool, list[float]] = {True: [], False: []}
    tables: dict[bool, list[tuple[object, ...]]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeServer(latency=TAIL, seed=1) as generating,
        FakeServer(latency=TAIL, seed=2) as labelling,
    ):
        servers = {"generator": generating, "labeller": labelling}
        for _ in range(given.rounds):
            for overlap in (True, False):
                database = new_database(Path(folder), prompts(given.rows))
                for server in servers.values():
                    server.reset()
                models = "".join(
                    f"CREATE OR REPLACE MODEL {name} (TYPE openai, model 'fake', base_url '{server.base_url}', "
                    f"concurrency {CONCURRENCY});\n"
                    for name, server in servers.items()
                )
                started = time.perf_counter()
                run(models + SCRIPT, database, RunOptions(overlap=overlap))
                taken[overlap].append(time.perf_counter() - started)
                with duckdb.connect(str(database), read_only=True) as con:
                    tables[overlap] = con.execute("FROM labelled ORDER BY id").fetchall()
        windows = {name: server.window_s(CONCURRENCY) for name, server in servers.items()}
    assert tables[True] == tables[False], "the overlap changed a result"
    together, in_turn = (statistics.median(taken[overlap]) for overlap in (True, False))
    print(f"perfect windows: {', '.join(f'{name} {s:.2f} s' for name, s in windows.items())}")
    print(f"overlapped {together:.2f} s, in turn {in_turn:.2f} s: {together / in_turn:.2f} of it; equal tables")
    print(f"overlapped over the longer window: {together / max(windows.values()):.2f}")


if __name__ == "__main__":
    main()
