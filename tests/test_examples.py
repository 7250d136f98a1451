"""The examples run as they stand on the embedded model, and on a server with one flag."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.fake_server import FakeServer

ROOT = Path(__file__).parent.parent


def _run(example: str, database: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "distil_sql", "run", str(ROOT / "examples" / example), "-d", str(database), *arguments],
        cwd=database.parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=230,
    )


@pytest.mark.parametrize(
    ("example", "check"),
    [
        (
            "preference.sql",
            "SELECT count(*) = 2 * (SELECT count(*) FROM prompts) AND count(verdict) = count(response) FROM labelled",
        ),
        ("generate.sql", "SELECT count(*) >= 100 AND count(response) = count(*) FROM answers"),
        ("label.sql", "SELECT count(*) >= 100 AND count(label) = count(*) FROM reviews"),
    ],
)
def test_an_example_runs_as_it_stands_on_the_embedded_model(example: str, check: str, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    ended = _run(example, tmp_path / "x.duckdb")
    assert ended.returncode == 0, ended.stderr
    with duckdb.connect(str(tmp_path / "x.duckdb")) as con:
        assert con.execute(check).fetchone() == (True,)


@pytest.mark.parametrize("example", ["preference.sql", "generate.sql", "label.sql"])
def test_an_example_runs_on_a_server_with_one_flag(example: str, tmp_path: Path, fake_server: FakeServer) -> None:
    ended = _run(
        example, tmp_path / "x.duckdb", "--model", "gpt", OPENAI_BASE_URL=fake_server.base_url, OPENAI_API_KEY="k"
    )
    assert ended.returncode == 0, ended.stderr
    assert fake_server.stats()["answered"] >= 100


def test_the_embedded_model_gives_recognisable_answers(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    assert _run("label.sql", tmp_path / "x.duckdb").returncode == 0
    with duckdb.connect(str(tmp_path / "x.duckdb")) as con:
        labels = dict(con.execute("SELECT label::VARCHAR, count(*) FROM reviews GROUP BY label").fetchall())
    assert set(labels) == {"positive", "negative", "neutral"}
    assert min(labels.values()) >= 10
