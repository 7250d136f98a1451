"""A new database begins as a copy with the library in it; where no copy can be had, it is made all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

import distil_sql
from distil_sql.library.template import begin_as_copy
from distil_sql.session import Session

WORKS = "SELECT judge_prompt('a', 'b') IS NOT NULL"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "distil-sql"


def test_the_second_database_is_a_copy_and_both_can_be_used_at_once(cache: Path, tmp_path: Path) -> None:
    first = distil_sql.connect(tmp_path / "1.duckdb")
    (original,) = cache.glob("*.duckdb")
    made = original.stat().st_mtime_ns
    second = distil_sql.connect(tmp_path / "2.duckdb")
    assert [con.execute(WORKS).fetchone() for con in (first, second)] == [(True,)] * 2
    assert original.stat().st_mtime_ns == made
    assert not list(tmp_path.glob("*.new"))
    first.execute("CREATE TABLE mine AS SELECT 1")
    assert second.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'mine'").fetchone() == (0,)


@pytest.mark.parametrize("hindrance", ["a file in its place", "others may write it", "a damaged original"])
def test_what_hinders_it_is_passed_over(cache: Path, tmp_path: Path, hindrance: str) -> None:
    if hindrance == "a file in its place":
        cache.parent.mkdir()
        cache.touch()
    else:
        cache.mkdir(parents=True)
    if hindrance == "others may write it":
        cache.chmod(0o777)
    if hindrance == "a damaged original":
        Session.open(tmp_path / "0.duckdb").close()
        (original,) = cache.glob("*.duckdb")
        original.write_bytes(original.read_bytes()[:5000])
    con = distil_sql.connect(tmp_path / "x.duckdb")
    assert con.execute(WORKS).fetchone() == (True,)
    if hindrance == "others may write it":
        assert not list(cache.iterdir())


def test_a_file_that_appears_meanwhile_is_left_alone(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"

    def make(original: str) -> None:
        Path(original).write_bytes(b"copy")
        path.write_bytes(b"theirs")

    begin_as_copy(str(path), "0" * 16, make)
    assert path.read_bytes() == b"theirs"
    assert sorted(tmp_path.glob("x*")) == [path]


def test_old_originals_do_not_pile_up(cache: Path, tmp_path: Path) -> None:
    for number in range(8):
        begin_as_copy(str(tmp_path / f"{number}.duckdb"), f"{number:016}", lambda at: duckdb.connect(at).close())
        time.sleep(0.01)
    assert len(list(cache.iterdir())) <= 5
    assert len(list(tmp_path.glob("*.duckdb"))) == 8


def test_what_a_deleted_database_left_behind_does_not_come_back(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    killed = "import distil_sql, os; con = distil_sql.connect('x.duckdb'); con.execute('CREATE TABLE old AS SELECT 1')"
    killed += f"; os.kill(os.getpid(), {int(signal.SIGKILL)})"
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache.parent)}
    subprocess.run([sys.executable, "-c", killed], cwd=tmp_path, env=environment, check=False)
    assert path.with_name("x.duckdb.wal").stat().st_size
    path.unlink()
    with distil_sql.connect(path) as con:
        assert con.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'old'").fetchone() == (0,)
        assert con.execute(WORKS).fetchone() == (True,)
