"""A server that allows so many requests a minute: what share of that is used, and what share of calls is rejected?

    python -m tests.benchmarks.bench_limits --rpm 600 --seconds 60

With the limit given (`rpm`), and found from what the server says. The database and the model exist before the clock
starts; it stops when the table is there.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import distil_sql
from tests.fake_server import FakeServer

MODEL = "CREATE MODEL generator (TYPE openai, model 'm', base_url '{url}'{option})"
ASK = "CREATE TABLE t AS SELECT text_generation('say ' || i) AS said FROM range({calls}) r(i)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rpm", type=float, default=600)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    calls = round(given.rpm / 60 * given.seconds)
    for name, option in (("rpm given", f", rpm {given.rpm:g}"), ("found by itself", "")):
        with (
            tempfile.TemporaryDirectory() as folder,
            FakeServer(latency={"fixed_ms": 200}, rate_limit={"rpm": given.rpm}) as server,
        ):
            database = Path(folder) / "x.duckdb"
            distil_sql.run(MODEL.format(url=server.base_url, option=option), database)
            started = time.monotonic()
            distil_sql.run(ASK.format(calls=calls), database)
            wall = time.monotonic() - started
            stats = server.stats()
            limit = stats["rate_limit"]
            print(
                f"{name:16} {60 * calls / wall / given.rpm:6.1%} of {given.rpm:g} a minute,"
                f" {limit['rejected'] / limit['accepted']:.2%} rejected, all {stats['answered']} answered",
                flush=True,
            )


if __name__ == "__main__":
    main()
