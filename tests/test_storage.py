"""A disk that is full, a database that cannot be written, a ledger of another version: a sentence, and nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import distil_sql
from distil_sql.errors import DatabaseError, ScriptError
from tests.command import distil, model, query, value
from tests.fake_server import FakeServer

SAID = """CREATE OR REPLACE TABLE said AS SELECT i AS id,
text_generation('say ' || i || array_to_string([hash(i * 1000 + j) for j in range(200)], ' ')) AS said
FROM range({}) r(i);
"""
# a limit on the size of files makes writes fail as a full disk does, for whoever runs the tests
LIMITED = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
runpy.run_module('distil_sql', run_name='__main__')
"""
OLD = """
CREATE SCHEMA distil;
CREATE TABLE distil.meta (key VARCHAR, value VARCHAR);
INSERT INTO distil.meta VALUES ('schema_version', '1');
CREATE TABLE distil.calls AS SELECT * EXCLUDE (scores, reasoning_tokens) FROM now.distil.calls;
ALTER TABLE distil.calls ADD PRIMARY KEY (call_id);
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on files there")
def test_a_full_disk_stops_the_run_and_loses_nothing_that_was_kept(fake_server: FakeServer, tmp_path: Path) -> None:
    script, database = tmp_path / "p.sql", tmp_path / "x.duckdb"
    script.write_text(model(fake_server, concurrency=8) + SAID.format(1500))
    distil_sql.run("SELECT 1", database)  # the library is in it
    size = database.stat().st_size + 1_500_000
    command = [sys.executable, "-c", LIMITED.format(size=size), "run", str(script), "-d", str(database), "-q"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "disk is full" in done.stderr
    assert "run again" in done.stderr
    kept = value(database, "SELECT count(*) FROM distil.calls")
    answered = fake_server.stats()["answered"]
    assert 0 < kept < 1500
    again = distil("run", script, "-d", database, "-q")
    assert again.returncode == 0, again.stderr
    assert value(database, "SELECT count(said) FROM said") == 1500
    assert fake_server.stats()["answered"] == answered + 1500 - kept


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anything")
def test_a_database_that_cannot_be_written_says_so(fake_server: FakeServer, tmp_path: Path) -> None:
    database = tmp_path / "x.duckdb"
    distil_sql.run("CREATE TABLE t AS SELECT 1 AS x", database)
    database.chmod(0o444)
    with pytest.raises(DatabaseError, match="cannot be written: check its permissions"):
        distil_sql.run("SELECT 1", database)


@pytest.mark.parametrize("made_by", ["us", "DuckDB"])
def test_a_label_inside_a_struct_can_be_kept_or_a_sentence_says_how(tmp_path: Path, made_by: str) -> None:
    task = "CREATE LABELLER TASK t(a VARCHAR) RETURNS STRUCT(label {}) PROMPT '{{{{ a }}}}';"
    inside, text = task.format("ENUM('x', 'y')"), task.format("VARCHAR")
    if made_by == "DuckDB":
        duckdb.connect(str(tmp_path / "x.duckdb")).close()
        if duckdb.__version__ < "2":
            with pytest.raises(ScriptError, match="return a VARCHAR"):
                distil_sql.run(inside, tmp_path / "x.duckdb")
            inside = text
    distil_sql.run(inside, tmp_path / "x.duckdb")
    with distil_sql.connect(tmp_path / "x.duckdb") as con:
        assert con.execute("SELECT t_prompt('a') IS NOT NULL").fetchone() == (True,)


def test_a_database_in_use_can_be_checkpointed(tmp_path: Path) -> None:
    for _ in ("new", "opened again"):
        with distil_sql.connect(tmp_path / "x.duckdb") as con:
            con.execute("CREATE OR REPLACE TABLE t AS SELECT 1")
            con.execute("CHECKPOINT")  # as DuckDB does by itself, or the log would grow for as long as it is open


def test_a_ledger_of_an_older_version_is_used_as_it_is(fake_server: FakeServer, tmp_path: Path) -> None:
    script = model(fake_server) + SAID.format(20)
    now, old = tmp_path / "now.duckdb", tmp_path / "old.duckdb"
    distil_sql.run(script, now)
    with duckdb.connect(str(old), config=_storage()) as con:
        con.execute(f"ATTACH '{now}' AS now (READ_ONLY)")
        con.execute(OLD)
    state = distil_sql.run(script, old)
    assert state.lines[-1].tally.hits == 20
    assert fake_server.stats()["requests"] == 20
    distil_sql.run(script.replace("say", "tell"), old)
    columns = "reasoning_tokens IS NULL AS before, count(*), count(scores)"
    assert query(old, f"SELECT {columns} FROM distil.calls GROUP BY 1 ORDER BY 1") == [(False, 20, 0), (True, 20, 0)]


def test_a_ledger_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "x.duckdb"
    distil_sql.run("CREATE TABLE t AS SELECT 1 AS x", database)
    with duckdb.connect(str(database)) as con:
        con.execute("UPDATE distil.meta SET value = '9' WHERE key = 'schema_version'")
    done = distil("run", "-d", database, _file(tmp_path, "SELECT 1"))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("was written by a newer distil-sql: upgrade with pip install -U distil-sql")
    assert query(database, "FROM t") == [(1,)]


def _storage() -> dict[str, str]:
    return {"storage_compatibility_version": "v1.5.0"} if duckdb.__version__ >= "2" else {}


def _file(folder: Path, text: str) -> Path:
    path = folder / "script.sql"
    path.write_text(text)
    return path
