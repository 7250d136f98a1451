"""A task inside WITH RECURSIVE: each round's prompts are made of the answers of the round before."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import distil_sql
from tests.command import model
from tests.fake_server import FakeServer

SCRIPT = """SET VARIABLE rounds = {rounds};
CREATE OR REPLACE TABLE t AS
WITH RECURSIVE tree AS (
    SELECT i::VARCHAR AS id, NULL::VARCHAR AS parent_id, 0 AS round, 'say ' || i AS said FROM range(5) t(i)
    UNION ALL
    SELECT id || '.' || (round + 1), id, round + 1, text_generation(said) FROM tree
    WHERE round < getvariable('rounds') AND said IS NOT NULL
)
FROM tree;
"""


@pytest.mark.parametrize(("rounds", "mode"), [(1, "demand"), (6, "demand"), (9, "blocking")])
def test_rounds_of_one_statement_are_asked_once_each(
    rounds: int, mode: str, fake_server: FakeServer, tmp_path: Path
) -> None:
    script, database = model(fake_server) + SCRIPT.format(rounds=rounds), tmp_path / "x.duckdb"
    distil_sql.run(script, database)
    assert fake_server.stats()["requests"] == 5 * rounds
    with duckdb.connect(str(database)) as con:
        found = con.execute("SELECT round, count(said) FROM t GROUP BY round ORDER BY round").fetchall()
        assert found == [(round, 5) for round in range(rounds + 1)]
        assert con.execute("SELECT mode FROM distil.status WHERE target = 't'").fetchall() == [(mode,)]
        orphans = "SELECT count(*) FROM t WHERE round > 0 AND parent_id NOT IN (SELECT id FROM t)"
        assert con.execute(orphans).fetchone() == (0,)
    distil_sql.run(script, database)
    assert fake_server.stats()["requests"] == 5 * rounds
