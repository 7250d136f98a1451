"""`embed(text)`: vectors in SQL, from a server and from llama.cpp, in the same ledger as every other call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

import distil_sql
from distil_sql.errors import DistilError
from distil_sql.models.embedding import packed, shares
from distil_sql.pipeline.retry import retry
from distil_sql.session import Session
from tests.command import distil, model
from tests.fake_server import FakeServer

TEXTS = "CREATE OR REPLACE TABLE texts AS SELECT i AS id, 'text ' || i AS text FROM range({n}) r(i);\n"


@pytest.fixture(scope="module")
def shared() -> duckdb.DuckDBPyConnection:
    return distil_sql.connect()


@pytest.fixture
def con(shared: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> Iterator[duckdb.DuckDBPyConnection]:
    """One connection with a server's model `embedder` and an empty ledger."""
    shared.execute("DELETE FROM distil.calls")
    distil_sql.run(model(fake_server, "embedder", price_in=1) + "CREATE OR REPLACE TABLE t AS SELECT 1;", shared)
    yield shared
    distil_sql.run("DROP MODEL IF EXISTS embedder", shared)


def one(con: duckdb.DuckDBPyConnection, query: str) -> Any:
    return con.execute(query).fetchall()[0][0]


def test_a_text_becomes_a_list_of_floats(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    assert one(con, "SELECT typeof(embed('a'))") == "FLOAT[]"
    assert len(one(con, "SELECT embed('a')")) == 8
    assert one(con, "SELECT array_cosine_similarity(embed('a')::FLOAT[8], embed('a')::FLOAT[8])") == pytest.approx(1)
    assert one(con, "SELECT list_cosine_similarity(embed('a'), embed('b'))") < 0.99
    assert fake_server.stats()["requests"] == 2


def test_null_is_null_and_asks_nothing(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    assert one(con, "SELECT embed(NULL)") is None
    assert "is NULL" in one(con, "SELECT embed_details(NULL).error")
    assert fake_server.stats()["requests"] == 0


def test_many_texts_share_a_request_and_each_is_a_row_of_the_ledger(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    distil_sql.run(
        TEXTS.format(n=1000) + "CREATE OR REPLACE TABLE v AS SELECT *, embed(text) AS vector FROM texts", con
    )
    assert fake_server.stats()["requests"] <= 40
    assert one(con, "SELECT count(DISTINCT vector::VARCHAR) FROM v") == 1000
    calls = "SELECT count(*), count(DISTINCT call_id), sum(input_tokens), sum(output_tokens) FROM distil.calls"
    assert con.execute(calls).fetchall() == [(1000, 1000, 2000, 0)]
    assert one(con, "SELECT sum(cost) FROM distil.calls") == pytest.approx(2000 / 1e6)
    stored = "SELECT distil_vector(response) FROM distil.calls WHERE messages ->> '$[0].content' = 'text 7'"
    assert one(con, stored) == one(con, "SELECT vector FROM v WHERE id = 7")
    assert one(con, "SELECT vector FROM v WHERE id = 7") == one(con, "SELECT embed('text 7')")
    distil_sql.run("CREATE OR REPLACE TABLE again AS SELECT embed(text) AS vector FROM texts", con)
    assert con.execute(calls).fetchall() == [(1000, 1000, 2000, 0)]


def test_one_text_that_is_refused_fails_alone(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    fake_server.configure(faults=[{"kind": "400_context", "match": "zzz"}])
    texts = "CREATE OR REPLACE TABLE texts AS SELECT unnest(['a', 'b', 'c', 'd', 'e', 'zzz']) AS text;\n"
    distil_sql.run(texts + "CREATE OR REPLACE TABLE v AS SELECT text, embed(text) AS vector FROM texts", con)
    assert con.execute("SELECT text FROM v WHERE vector IS NULL").fetchall() == [("zzz",)]
    assert con.execute("SELECT error_kind FROM distil.calls WHERE status = 'error'").fetchall() == [("context_length",)]
    details = one(con, "SELECT embed_details('zzz')")
    assert (details["value"], details["status"], details["error_kind"]) == (None, "error", "context_length")


@pytest.mark.parametrize("kind", ["429", "500", "drop", "truncated_json"])
def test_faults_that_pass_are_tried_again(con: duckdb.DuckDBPyConnection, fake_server: FakeServer, kind: str) -> None:
    reply: dict[str, Any] = {"kind": kind, "attempts": 1}
    if kind == "429":
        reply["retry_after"] = 0.05
    fake_server.configure(faults=[reply])
    distil_sql.run(TEXTS.format(n=3) + "CREATE OR REPLACE TABLE v AS SELECT embed(text) AS vector FROM texts", con)
    assert one(con, "SELECT count(vector) FROM v") == 3


def test_a_failed_text_is_asked_again_by_retry(fake_server: FakeServer) -> None:
    session = Session.open(":memory:")
    try:
        fake_server.configure(faults=[{"kind": "400", "match": "a"}])
        con = session.cursor()
        from distil_sql.pipeline import run_in
        from distil_sql.script import Source

        run_in(session, Source(model(fake_server, "embedder") + "CREATE TABLE v AS SELECT embed('a') AS vector"))
        assert one(con, "SELECT vector FROM v") is None
        fake_server.reset(settings=True)
        done = retry(session, None)
        assert (done.asked, done.answered, done.changed) == (1, 1, 0)
        assert len(one(con, "SELECT embed('a')")) == 8
        assert fake_server.stats()["requests"] == 1
    finally:
        session.close()


def test_dimensions_are_asked_for_held_to_and_part_of_the_key(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    distil_sql.run(model(fake_server, "short", dimensions=4), con)
    assert len(one(con, "SELECT embed('a', model := 'short')")) == 4
    assert len(one(con, "SELECT embed('a')")) == 8
    fake_server.configure(scripts=[{"replies": [{"body": answer([[1.0, 2.0]])}]}])
    with pytest.raises(DistilError, match="vectors of 2 numbers, not of 4"):
        distil_sql.run("CREATE OR REPLACE TABLE v AS SELECT embed('b', model := 'short') AS x", con)


def answer(vectors: Sequence[Any]) -> dict[str, Any]:
    return {"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]}


def test_a_server_may_answer_in_numbers_and_in_any_order(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    body = {"data": [{"index": 1, "embedding": [2, 0.5]}, {"index": 0, "embedding": [1.0, -1e-3]}]}
    fake_server.configure(scripts=[{"replies": [{"body": body}]}])
    query = "SELECT embed(unnest(['a', 'b']))"
    assert con.execute(query).fetchall() == [([1.0, pytest.approx(-1e-3)],), ([2.0, 0.5],)]


@pytest.mark.parametrize("vectors", [[], [[]], ["no base64"], [["x"]], [None], [[1.0], [2.0]]])
def test_an_answer_without_a_vector_is_a_reason(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch, vectors: Sequence[Any]
) -> None:
    monkeypatch.setattr("distil_sql.engine.lane.MAX_ATTEMPTS", 1)
    fake_server.configure(scripts=[{"replies": [{"body": answer(vectors)}]}])
    details = one(con, "SELECT embed_details('a')")
    assert (details["value"], details["error_kind"]) == (None, "server")
    assert "vectors" in details["error"]


def test_a_task_of_ones_own_embeds_with_its_own_words(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    task = "CREATE OR REPLACE EMBEDDER TASK query_vector(q VARCHAR) RETURNS FLOAT[{n}] PROMPT 'query: {{{{ q }}}}';"
    distil_sql.run(task.format(n=8), con)
    assert one(con, "SELECT typeof(query_vector('a'))") == "FLOAT[8]"
    assert list(one(con, "SELECT query_vector('a')")) == one(con, "SELECT embed('query: a')")
    assert fake_server.stats()["requests"] == 1
    distil_sql.run(task.format(n=3), con)
    assert one(con, "SELECT query_vector('a')") is None
    assert "does not parse as FLOAT[3]" in one(con, "SELECT query_vector_details('a').error")


@pytest.mark.parametrize(
    ("clauses", "said"),
    [
        ("RETURNS INTEGER PROMPT 'a'", "RETURNS FLOAT\\[\\] or FLOAT\\[n\\], not INTEGER"),
        ("SYSTEM 'b' PROMPT 'a'", "has no SYSTEM"),
        ("PROMPT 'a' PARSE 'response'", "has no PARSE"),
        ("PROMPT 'a' WITH (temperature 1)", "has no WITH"),
    ],
)
def test_what_an_embedder_task_cannot_say_is_refused(con: duckdb.DuckDBPyConnection, clauses: str, said: str) -> None:
    with pytest.raises(DistilError, match=said):
        distil_sql.run(f"CREATE EMBEDDER TASK v(x VARCHAR) {clauses}", con)


def test_without_a_model_a_run_says_which_to_make(con: duckdb.DuckDBPyConnection) -> None:
    distil_sql.run("DROP MODEL embedder", con)
    with pytest.raises(DistilError, match=r"CREATE MODEL embedder \(TYPE"):
        distil_sql.run("CREATE TABLE w AS SELECT embed('a') AS v", con)


def test_a_budget_counts_texts_and_a_plan_counts_no_answers(fake_server: FakeServer, tmp_path: Path) -> None:
    script, database = tmp_path / "e.sql", tmp_path / "x.duckdb"
    script.write_text(
        model(fake_server, "embedder", price_in=1000)
        + TEXTS.format(n=100)
        + "CREATE OR REPLACE TABLE v AS SELECT embed(text)::FLOAT[8] AS vector FROM texts;"
    )
    planned = distil("plan", script, "-d", database, "--json")
    assert planned.returncode == 0, planned.stderr
    assert '"output_tokens": [0, 0]' in " ".join(planned.stdout.split()).replace("[ ", "[").replace(" ]", "]")
    assert fake_server.stats()["requests"] == 0
    stopped = distil("run", script, "-d", database, "--max-calls", "10")
    assert stopped.returncode == 1
    assert "--max-calls 10" in stopped.stderr
    assert distil("run", script, "-d", database).returncode == 0
    assert fake_server.stats()["prompt_tokens"] == 200


def test_llama_cpp_embeds_in_the_same_ledger(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    pytest.importorskip("gguf")
    from tests import made_up_gguf

    path = made_up_gguf.write(tmp_path / "embedder.gguf", chat_template=None)
    with distil_sql.connect() as con:
        models = "".join(
            f"CREATE MODEL {name} (TYPE llama_cpp, path '{path}', pooling '{pooling}');"
            for name, pooling in (("embedder", "mean"), ("other", "last"))
        )
        texts = "CREATE TABLE texts AS SELECT 'a b c ' || i % 7 AS text FROM range(50) r(i) UNION ALL "
        texts += "SELECT repeat('a b ', 9000);"
        distil_sql.run(models + texts + "CREATE TABLE v AS SELECT text, embed(text) AS vector FROM texts", con)
        assert con.execute("SELECT count(vector), count(*) FROM v").fetchall() == [(50, 51)]
        calls = con.execute("SELECT status, error_kind, count(*) FROM distil.calls GROUP BY ALL ORDER BY 1").fetchall()
        assert calls == [("error", "context_length", 1), ("ok", None, 7)]
        assert one(con, "SELECT list_cosine_similarity(vector, vector) FROM v LIMIT 1") == pytest.approx(1, abs=1e-5)
        assert one(con, "SELECT embed('a b c 1') = embed('a b c 1', model := 'other')") is False


def test_a_requests_tokens_are_shared_out_whole() -> None:
    assert shares(10, ["aaaa", "a", ""]) == [8, 2, 0]
    assert sum(shares(1000, ["ab" * i for i in range(64)])) == 1000
    assert shares(5, [""]) == [0]


@pytest.mark.parametrize("vector", ["", "abc", "AAA=", [], ["a"]])
def test_what_is_no_vector_is_not_packed(vector: Any) -> None:
    import struct

    with pytest.raises((ValueError, TypeError, struct.error)):
        packed(vector)
