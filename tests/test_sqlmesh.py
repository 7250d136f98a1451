"""SQLMesh with tasks: the example project planned by the real command, where that is installed (DuckDB 1.5)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.command import model
from tests.fake_server import FakeServer

pytest.importorskip("sqlmesh")
pytest.importorskip("llama_cpp")

PROJECT = Path(__file__).parent.parent / "examples" / "sqlmesh"
LEFT = shutil.ignore_patterns("*.duckdb*", ".cache", "logs")
SQLMESH = Path(sys.executable).parent / "sqlmesh"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, planned once."""
    folder = tmp_path_factory.mktemp("mesh") / "project"
    shutil.copytree(PROJECT, folder, ignore=LEFT)
    _sqlmesh(folder, "plan", "--auto-apply", "--no-prompts")
    return folder


def _sqlmesh(folder: Path, *arguments: str) -> str:
    ended = subprocess.run([SQLMESH, *arguments], cwd=folder, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def _rows(folder: Path, query: str) -> Sequence[tuple[Any, ...]]:
    with duckdb.connect(str(folder / "data.duckdb")) as con:
        return con.execute(query).fetchall()


def test_models_call_tasks(project: Path) -> None:
    labels = "SELECT count(*), count(verdict.score), any_value(typeof(verdict)) FROM demo.labelled"
    assert _rows(project, labels) == [(40, 40, "STRUCT(score INTEGER, reason VARCHAR)")]
    assert _rows(project, "SELECT count(*) FROM demo.best")[0][0] == 20
    assert {row[0] for row in _rows(project, "SELECT DISTINCT task FROM distil.calls")} == {"text_generation", "grade"}


def test_nothing_is_asked_twice(project: Path) -> None:
    query = "SELECT count(*), max(created_at) FROM distil.calls"
    before = _rows(project, query)
    printed = _sqlmesh(project, "plan", "--auto-apply", "--no-prompts", "--restate-model", "demo.generations")
    assert "demo.labelled" in printed
    assert _rows(project, query) == before


def test_a_new_prompt_asks_its_own_rows_alone(project: Path) -> None:
    seeds = project / "seeds" / "instructions.csv"
    seeds.write_text(seeds.read_text() + "1000,What is 50 plus 1?\n")
    generated = "SELECT count(*) FROM distil.calls WHERE task = 'text_generation'"
    before = _rows(project, generated)[0][0]
    _sqlmesh(project, "plan", "--auto-apply", "--no-prompts")
    assert _rows(project, generated)[0][0] == before + 2
    assert _rows(project, "SELECT count(verdict.score) FROM demo.labelled")[0][0] == 42


def test_a_plan_that_is_killed_goes_on_where_it_was(tmp_path: Path, fake_server: FakeServer) -> None:
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder, ignore=LEFT)
    models = model(fake_server, seed=1, concurrency=2) + model(fake_server, "labeller", temperature=0, concurrency=2)
    _, task = (folder / "tasks.sql").read_text().split("CREATE OR REPLACE LABELLER TASK")
    (folder / "tasks.sql").write_text(f"{models}CREATE OR REPLACE LABELLER TASK{task}")
    fake_server.configure(latency={"fixed_ms": 200})
    command = [SQLMESH, "plan", "--auto-apply", "--no-prompts"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and fake_server.stats()["requests"] < 20:
            time.sleep(0.02)
        process.kill()
    fake_server.configure(latency={"fixed_ms": 0})
    _sqlmesh(folder, *command[1:])
    stats = fake_server.stats()
    assert stats["distinct"] == 80
    assert stats["requests"] <= 80 + 2 * 2  # in flight, or answered in the moment before
    assert _rows(folder, "SELECT count(verdict) FROM demo.labelled") == [(40,)]
