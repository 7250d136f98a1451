"""The multi-step methods under examples/: each runs on the embedded model, and running it again asks nothing anew."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import duckdb
import pytest

from tests.inside import distil

pytest.importorskip("llama_cpp")

ROOT = Path(__file__).parent.parent
CHECKS = {
    "evol_instruct": (
        "evolved",
        """SELECT count(DISTINCT id) = count(*) AND max(round) BETWEEN 2 AND 3 AND bool_and(len(path) = round + 1)
            AND bool_and(round = 0 OR parent_id IN (SELECT id FROM evolved)) FROM evolved""",
    ),
    "self_instruct": (
        "pool",
        """SELECT (SELECT count(*) FROM pool) > 15
            AND coalesce(max(text_similarity(a.instruction, b.instruction, size := 3)), 0) < 0.7
        FROM pool a JOIN pool b ON a.round < b.round""",
    ),
    "best_and_worst": ("pairs", "SELECT count(*) > 0 AND bool_and(score_chosen - score_rejected >= 1) FROM pairs"),
    "best_of_n": ("best", "SELECT count(*) > 0 AND count(*) <= 25 AND bool_and(len(messages) = 2) FROM best"),
    "deita": (
        "selected",
        """SELECT (SELECT count(*) FROM selected) BETWEEN 5 AND 15
            AND (SELECT max(place) > count(*) FROM selected)
            AND min(1 - list_cosine_similarity(a.vector, b.vector)) > 0.5
        FROM ranked a JOIN ranked b ON a.place < b.place
        WHERE a.place IN (SELECT place FROM selected) AND b.place IN (SELECT place FROM selected)""",
    ),
    "magpie": (
        "sft",
        """SELECT count(*) > 0
            AND bool_and([m.role FOR m IN messages] = ['user', 'assistant', 'user', 'assistant']) FROM sft""",
    ),
}


def _run(method: str, database: Path, *options: str, code: int = 0) -> str:
    with contextlib.chdir(database.parent):
        ended = distil("run", ROOT / "examples" / f"{method}.sql", "-d", database, *options)
    assert ended.returncode == code, ended.stderr
    return ended.stdout + ended.stderr


def _state(database: Path, table: str) -> tuple[list[object], int]:
    with duckdb.connect(str(database)) as con:
        rows = con.execute(f"SELECT t::VARCHAR FROM {table} t ORDER BY 1").fetchall()
        ((calls,),) = con.execute("SELECT count(*) FROM distil.calls").fetchall()
        return list(rows), calls


@pytest.mark.parametrize("method", CHECKS)
def test_a_method_does_what_it_says_and_does_it_once(method: str, tmp_path: Path) -> None:
    database = tmp_path / "x.duckdb"
    table, check = CHECKS[method]
    _run(method, database)
    with duckdb.connect(str(database)) as con:
        assert con.execute(check).fetchone() == (True,)
    before = _state(database, table)
    assert "done: 0 calls" in _run(method, database)
    assert _state(database, table) == before


@pytest.mark.parametrize(("method", "calls"), [("evol_instruct", 14), ("deita", 130)])
def test_a_method_that_was_stopped_goes_on_where_it_was(method: str, calls: int, tmp_path: Path) -> None:
    database = tmp_path / "x.duckdb"
    _, check = CHECKS[method]
    _run(method, database, "--max-calls", str(calls), code=1)
    said = _run(method, database)
    found = re.search(r"done: (\d+) calls", said)
    with duckdb.connect(str(database)) as con:
        assert con.execute(check).fetchone() == (True,)
        ((total,),) = con.execute("SELECT count(*) FROM distil.calls").fetchall()
    assert found is not None
    assert (total - int(found[1]), total > calls) == (calls, True)
