"""How much of the prompts does a server find in its prefix cache? A table sorted badly on purpose, in three orders.

    python -m tests.benchmarks.bench_prompt_cache [--documents 60] [--questions 40]

Every question is asked about every document; each prompt begins with the document, and the table goes from document to
document at each row, so that whoever asks in its order finds nothing kept. The server's cache holds a few documents.
`ours` is the badly sorted table, `sorted` the same table in the best order; `client` asks in the table's order.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

import duckdb

import distil_sql
from tests.fake_server import FakeServer

TASK = """CREATE OR REPLACE GENERATOR TASK answer(document VARCHAR, question VARCHAR) RETURNS VARCHAR
PROMPT $$Read this.
{{ document }}

{{ question }}$$;
"""
CONCURRENCY = 32


def table(documents: int, questions: int, order: str) -> str:
    """SQL for the table of questions, ordered by `order`."""
    text = "array_to_string([left(hash(d * 1000 + w)::VARCHAR, 6) for w in range(300)], ' ')"
    return (
        f"CREATE OR REPLACE TABLE asked AS SELECT 'Document ' || d || ': ' || {text} AS document, "
        f"'Question ' || q || '?' AS question FROM range({documents}) a(d), range({questions}) b(q) ORDER BY {order};"
    )


async def _post_all(url: str, bodies: list[bytes]) -> None:
    from pyreqwest.client import ClientBuilder

    left = iter(bodies)
    async with ClientBuilder().default_headers({"Content-Type": "application/json"}).build() as client:

        async def worker() -> None:
            for body in left:
                response = await client.post(url).body_bytes(body).build().send()
                await response.bytes()

        await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))


def hit_rate(server: FakeServer) -> str:
    stats = server.stats()
    return f"{stats['cached_tokens'] / stats['prompt_tokens']:6.1%} of {stats['prompt_tokens']:,} prompt tokens cached"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--questions", type=int, default=40)
    given = parser.parse_args()
    cache = {"block": 16, "capacity": 20 * 10}  # about ten documents
    with tempfile.TemporaryDirectory() as folder, FakeServer(latency={"fixed_ms": 20}, cached_tokens=cache) as server:
        model = f"CREATE OR REPLACE MODEL generator (TYPE openai, model 'm', base_url '{server.base_url}', "
        model += f"concurrency {CONCURRENCY});"
        for name, order in (("ours", "q, hash(d)"), ("sorted", "d, q")):
            database = Path(folder) / f"{name}.duckdb"
            distil_sql.run(model + TASK + table(given.documents, given.questions, order), database)
            server.reset()
            distil_sql.run("CREATE TABLE answered AS SELECT *, answer(document, question) AS a FROM asked", database)
            print(f"{name:8} {hit_rate(server)}")
        with duckdb.connect(str(Path(folder) / "ours.duckdb"), read_only=True) as con:
            rows = con.execute("SELECT 'Read this.\n' || document || '\n\n' || question FROM asked").fetchall()
            kept = con.execute("SELECT sum(cached_tokens), sum(input_tokens) FROM distil.calls").fetchone()
        assert kept is not None
        print(f"         in the ledger: {kept[0]:,} of {kept[1]:,}")
        server.reset()
        bodies = [
            json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode() for (text,) in rows
        ]
        asyncio.run(_post_all(f"{server.base_url}/chat/completions", bodies))
        print(f"client   {hit_rate(server)}")


if __name__ == "__main__":
    main()
