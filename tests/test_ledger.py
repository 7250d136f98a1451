"""Reading the ledger: few cursors, nothing stale."""

from __future__ import annotations

import duckdb
import pytest

from distil_sql import ledger
from distil_sql.session import Session
from tests.fake_server import FakeServer

ROWS = 250_000  # of two row groups and more: DuckDB's own threads read them


def test_a_reader_is_kept_by_the_thread_of_the_system(fake_server: FakeServer) -> None:
    session = Session.open(":memory:")
    try:
        con = session.cursor()
        con.execute("SET threads = 4")
        con.create_function("looked_up", _looking_up(session), ["BIGINT"], "BIGINT", type="arrow")  # type: ignore[arg-type]
        con.execute(f"CREATE TABLE t AS SELECT i FROM range({ROWS}) r(i)")
        assert con.execute("SELECT sum(looked_up(i)) FROM t").fetchone() == (ROWS * (ROWS - 1) // 2,)
        assert len(session.ledger._readers) <= 5
    finally:
        session.close()


def _looking_up(session: Session):  # type: ignore[no-untyped-def]
    def look_up(column):  # type: ignore[no-untyped-def]
        session.ledger.lookup(["00000000-0000-0000-0000-000000000000"])
        return column

    return look_up


def test_what_was_read_ahead_is_soon_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    with duckdb.connect() as con:
        con.execute("CREATE SCHEMA distil")
        con.execute("""CREATE TABLE distil.calls AS SELECT
            format('00000000-0000-0000-0000-{:012d}', i)::UUID AS call_id, 'a' AS response, 'ok' AS status,
            NULL::VARCHAR AS error_kind, NULL::UUID AS run_id FROM range(2000) r(i)""")
        keys = [f"00000000-0000-0000-0000-{i:012d}" for i in range(2000)]
        answers = ledger.Ledger(con)
        assert len(answers.lookup(keys[:1000])) == 1000
        con.execute("DELETE FROM distil.calls")
        assert len(answers.lookup(keys[1000:1100])) == 100, "these were read ahead"
        monkeypatch.setattr(ledger.time, "monotonic", lambda: float("inf"))
        assert answers.lookup(keys[1100:]) == {}
        answers.close()
