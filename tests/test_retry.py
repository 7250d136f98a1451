"""`distil-sql retry` asks failed calls again, and those alone."""

from __future__ import annotations

from pathlib import Path

import duckdb

from tests.command import distil
from tests.fake_server import FakeServer

SCRIPT = """
CREATE OR REPLACE MODEL generator (TYPE openai, model 'm', base_url '{url}', temperature 0);
CREATE OR REPLACE TABLE t AS SELECT i, text_generation('say ' || i) AS said FROM range(20) r(i);
"""


def test_only_what_failed_and_matches_is_asked_again(fake_server: FakeServer, tmp_path: Path) -> None:
    fake_server.configure(faults=[{"kind": "refusal", "match": "^say [34]$"}, {"kind": "400", "match": "^say 5$"}])
    script, database = tmp_path / "p.sql", str(tmp_path / "x.duckdb")
    script.write_text(SCRIPT.format(url=fake_server.base_url))
    assert distil("run", str(script), "-d", database).returncode == 0
    before = fake_server.stats()["requests"]
    fake_server.configure(faults=[])
    retried = distil("retry", "-d", database, "--where", "error_kind = 'refused'")
    assert retried.returncode == 0, retried.stderr
    assert "2 failed calls asked again, 2 answered" in retried.stderr
    assert fake_server.stats()["requests"] == before + 2
    assert distil("run", str(script), "-d", database).returncode == 0
    assert fake_server.stats()["requests"] == before + 2
    with duckdb.connect(database) as con:
        assert con.execute("SELECT i FROM t WHERE said IS NULL").fetchall() == [(5,)]
        states = con.execute("SELECT state FROM distil.runs WHERE script = 'retry'").fetchall()
        assert states == [("done",)]


def test_a_call_that_today_would_be_another_is_left(fake_server: FakeServer, tmp_path: Path) -> None:
    fake_server.configure(faults=[{"kind": "refusal", "match": "^say 3$"}])
    script, database = tmp_path / "p.sql", str(tmp_path / "x.duckdb")
    script.write_text(SCRIPT.format(url=fake_server.base_url))
    assert distil("run", str(script), "-d", database).returncode == 0
    script.write_text(
        SCRIPT.format(url=fake_server.base_url).split(";")[0].replace("temperature 0", "temperature 1") + ";"
    )
    assert distil("run", str(script), "-d", database).returncode == 0
    retried = distil("retry", "-d", database)
    assert "0 failed calls asked again" in retried.stderr
    assert "1 left" in retried.stderr


def test_a_condition_that_does_not_bind_is_one_sentence(fake_server: FakeServer, tmp_path: Path) -> None:
    script, database = tmp_path / "p.sql", str(tmp_path / "x.duckdb")
    script.write_text(SCRIPT.format(url=fake_server.base_url))
    assert distil("run", str(script), "-d", database).returncode == 0
    retried = distil("retry", "-d", database, "--where", "nope = 1")
    assert retried.returncode == 2
    assert "nope" in retried.stderr
    assert "Traceback" not in retried.stderr


def test_many_may_fail_again(fake_server: FakeServer, tmp_path: Path) -> None:
    fake_server.configure(faults=[{"kind": "refusal"}])
    script, database = tmp_path / "p.sql", str(tmp_path / "x.duckdb")
    script.write_text(SCRIPT.format(url=fake_server.base_url).replace("range(20)", "range(80)"))
    assert distil("run", str(script), "-d", database, "--max-error-ratio", "1").returncode == 0
    retried = distil("retry", "-d", database)
    assert retried.returncode == 0, retried.stderr
    assert "80 failed calls asked again, 0 answered" in retried.stderr
