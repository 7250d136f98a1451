"""Queries that wait for their calls keep as many of them in flight as they can."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import duckdb
import pytest

import distil_sql
from tests.fake_server import FakeServer


@pytest.fixture(scope="module")
def _opened() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        yield distil_sql.register(con)


@pytest.fixture
def con(_opened: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> duckdb.DuckDBPyConnection:
    """Slow replies, 400 at once."""
    model = f"TYPE openai, model 'm', base_url '{fake_server.base_url}', concurrency 400"
    distil_sql.run(f"CREATE OR REPLACE MODEL generator ({model});", _opened)
    fake_server.configure(latency={"fixed_ms": 1500})
    return _opened


def most_in_flight(server: FakeServer) -> int:
    return int(server.stats()["max_in_flight"])


def test_all_rows_of_a_chunk_are_asked_for_at_once(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    query = "SELECT count(text_generation('chunk ' || i)) FROM range(300) t(i)"
    assert con.execute(query).fetchall() == [(300,)]
    assert most_in_flight(fake_server) == 300


def test_a_query_made_ahead_has_many_chunks_in_flight(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    con.execute("CREATE OR REPLACE TABLE prompts AS SELECT i, 'prompt ' || i AS x FROM range(15000) t(i)")
    chosen = "SELECT i, text_generation(x) AS y FROM prompts WHERE i % 50 = 0"  # 41 rows of a chunk
    relation = distil_sql.sql(chosen, con)
    assert most_in_flight(fake_server) == 300
    assert relation.aggregate("count(y), sum(i)").fetchall() == [(300, sum(range(0, 15000, 50)))]
    assert con.execute(chosen).fetchall() == relation.fetchall()
    assert fake_server.stats()["requests"] == 300


def test_a_call_that_two_queries_wait_for_is_made_once(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    query = "SELECT count(text_generation('both ' || i)) FROM range(40) t(i)"
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.extend(con.cursor().sql(query).fetchall())) for _ in range(3)]
    for thread in threads:
        thread.start()
    found.extend(distil_sql.sql(query, con.cursor()).fetchall())
    for thread in threads:
        thread.join()
    assert found == [(40,)] * 4
    assert fake_server.stats()["requests"] == 40
