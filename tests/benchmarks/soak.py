"""A soak: many calls, a tenth of them faulty, the process killed several times; every row ends answered or explained.

    python -m tests.benchmarks.soak --rows 100000 --kills 5

Prints what the tables hold and what the server counted; exits 1 if a row is lost, doubled or unexplained.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from tests.fake_server import FakeServer

SCRIPT = """
CREATE OR REPLACE MODEL generator (TYPE openai, model 'm', base_url '{url}', concurrency 128, timeout 5);
CREATE OR REPLACE TABLE prompts AS SELECT i AS id, 'say ' || i AS instruction FROM range({rows}) t(i);
CREATE TABLE answers (id BIGINT, answer STRUCT(said VARCHAR, n INTEGER));
CREATE OR REPLACE GENERATOR TASK soak(instruction VARCHAR) RETURNS STRUCT(said VARCHAR, n INTEGER)
  PROMPT $${{{{ instruction }}}}$$;
INSERT INTO answers SELECT id, soak(instruction) FROM prompts;
"""
PASSING = ["429", "500", "503", "drop", "drop_mid", "reset", "truncated_json", "malformed_json", "html"]
LASTING = ["refusal", "content_filter", "length", "empty_content", "400_context", "400"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    dice = random.Random(given.seed)
    faults: list[dict[str, object]] = [
        {"kind": kind, "ratio": 0.0005 if kind == "429" else 0.0088, "attempts": 1} for kind in PASSING
    ]
    faults += [{"kind": kind, "ratio": 0.0045} for kind in LASTING]
    faults.append({"kind": "hang", "ratio": 0.001, "attempts": 1})
    with tempfile.TemporaryDirectory() as folder, FakeServer(latency={"fixed_ms": 5}, faults=faults) as server:
        script, database = Path(folder) / "soak.sql", Path(folder) / "x.duckdb"
        script.write_text(SCRIPT.format(url=server.base_url, rows=given.rows))
        command = [sys.executable, "-m", "distil_sql", "run", str(script), "-d", str(database), "-q"]
        started = time.monotonic()
        for kill in range(given.kills):
            process = subprocess.Popen(command)
            at = given.rows * (kill + dice.random()) / (given.kills + 1)
            server.wait_for(lambda stats, at=at: stats["answered"] >= at, timeout_s=1200)
            process.kill()
            process.wait()
        ended = subprocess.run(command, timeout=3000)
        wall = time.monotonic() - started
        stats = server.stats()
        with duckdb.connect(str(database)) as con:
            rows = con.execute("SELECT count(*), count(DISTINCT id), count(answer) FROM answers").fetchone()
            unexplained = con.execute(
                "SELECT count(*) FROM answers WHERE answer IS NULL AND 'say ' || id NOT IN "
                "(SELECT messages->-1->>'content' FROM distil.calls WHERE error IS NOT NULL)"
            ).fetchone()
            kinds = con.execute(
                "SELECT coalesce(error_kind, 'ok'), count(*) FROM distil.calls GROUP BY 1 ORDER BY 2 DESC"
            ).fetchall()
    assert rows is not None
    assert unexplained is not None
    print(f"exit {ended.returncode}, {wall:.0f} s, {given.kills} kills")
    print(f"rows {rows[0]:,}, distinct {rows[1]:,}, answered {rows[2]:,}, unexplained {unexplained[0]:,}")
    print("ledger", dict(kinds))
    print(f"server: {stats['requests']:,} requests, {stats['answered']:,} answered, {stats['answered_again']:,} twice")
    good = ended.returncode == 0 and rows[:2] == (given.rows, given.rows) and unexplained[0] == 0
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
