"""Prompts that begin alike leave together, however badly the table is sorted; what the server had kept is reported."""

from __future__ import annotations

from pathlib import Path

from tests.command import distil, model, query
from tests.fake_server import FakeServer

SCRIPT = """
CREATE GENERATOR TASK answer(document VARCHAR, question VARCHAR) RETURNS VARCHAR
  PROMPT $${{ document }} {{ question }}$$;
CREATE TABLE asked AS
SELECT repeat(hash(d)::VARCHAR || ' ', 100) AS document, 'question ' || q AS question
FROM range(24) a(d), range(12) b(q) ORDER BY q, hash(d);
CREATE TABLE answered AS SELECT answer(document, question) AS a FROM asked;
"""


def test_a_badly_sorted_table_still_finds_its_prompts_in_the_servers_cache(
    fake_server: FakeServer, tmp_path: Path
) -> None:
    fake_server.configure(latency={"fixed_ms": 20}, cached_tokens={"block": 16, "capacity": 24})  # four documents
    script, database = tmp_path / "p.sql", tmp_path / "x.duckdb"
    script.write_text(model(fake_server, concurrency=4) + SCRIPT)
    done = distil("run", script, "-d", database)
    assert done.returncode == 0, done.stderr
    stats = fake_server.stats()
    share = stats["cached_tokens"] / stats["prompt_tokens"]
    assert share > 0.7  # in the table's order: none
    kept = query(database, "SELECT sum(cached_tokens), sum(input_tokens) FROM distil.calls")
    assert kept == [(stats["cached_tokens"], stats["prompt_tokens"])]
    assert f"{share:.0%} of the prompts' cached" in done.stderr
