"""The shortest way through everything, for the oldest DuckDB supported: run, be killed, resume, read, preview."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb

from tests.fake_server import FakeServer

SCRIPT = """
CREATE MODEL generator (TYPE openai, model 'm', base_url '{url}', seed 1, price_in 1, price_out 2);
CREATE MODEL labeller (TYPE openai, model 'm', base_url '{url}', temperature 0);
CREATE TABLE prompts AS SELECT i AS id, 'say ' || i AS instruction FROM range(300) t(i);
CREATE TABLE generations AS SELECT id, unnest(text_generation_n(instruction, n := 2)) AS response FROM prompts;
CREATE TABLE labelled AS SELECT *, judge('say it', response) AS verdict FROM generations;
"""


def _distil(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "distil_sql", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_pipeline_is_killed_resumed_and_read(tmp_path: Path, fake_server: FakeServer) -> None:
    fake_server.configure(latency={"fixed_ms": 30})
    script, database = tmp_path / "p.sql", tmp_path / "x.duckdb"
    script.write_text(SCRIPT.format(url=fake_server.base_url))
    killed = _distil("run", str(script), "-d", str(database))
    fake_server.wait_for(lambda stats: stats["answered"] >= 200, timeout_s=60)
    killed.kill()
    killed.communicate()
    resumed = _distil("run", str(script), "-d", str(database))
    _, errors = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, errors
    with duckdb.connect(str(database)) as con:
        counted = con.execute("SELECT count(*), count(response), count(verdict.score) FROM labelled").fetchone()
        assert counted == (600, 600, 600)
        assert con.execute("SELECT count(*), min(status), sum(cost) > 0 FROM distil.calls").fetchone() == (
            1200,
            "ok",
            True,
        )
        states = con.execute("SELECT DISTINCT state FROM distil.runs ORDER BY 1").fetchall()
        assert states == [("done",), ("interrupted",)]
    shown = _distil("preview", str(script), "-d", str(database), "-n", "1")
    out, errors = shown.communicate(timeout=60)
    assert shown.returncode == 0, errors
    assert "verdict" in out
