"""What a plan counts where answers are vectors, or are read by a PARSE."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import model
from tests.fake_server import FakeServer
from tests.inside import distil

ROOT = Path(__file__).parent.parent


def _planned(script: str | Path, tmp_path: Path, *options: str) -> list[dict[str, Any]]:
    path = script if isinstance(script, Path) else tmp_path / "p.sql"
    if isinstance(script, str):
        path.write_text(script)
    ended = distil("plan", path, "-d", tmp_path / "x.duckdb", "--json", *options)
    assert ended.returncode == 0, ended.stderr
    found: list[dict[str, Any]] = json.loads(ended.stdout)
    return found


VECTORS = """CREATE OR REPLACE TABLE v AS SELECT i, embed('text ' || i) AS vector FROM range(20) t(i);
CREATE OR REPLACE TABLE far AS SELECT a.i FROM v a JOIN v b ON a.i = b.i + 1
WHERE array_cosine_distance(a.vector::FLOAT[{n}], b.vector::FLOAT[{n}]) > 0.01;
CREATE OR REPLACE TABLE said AS SELECT text_generation('on ' || i) AS said FROM far;
"""


def test_statements_behind_vectors_are_counted(fake_server: FakeServer, tmp_path: Path) -> None:
    script = model(fake_server) + model(fake_server, "embedder", dimensions=12) + VECTORS.format(n=12)
    embedded, said = _planned(script, tmp_path)
    assert (embedded["calls"], embedded["note"]) == (20, None)
    assert (said["rows"], said["calls"]) == (19, 19)
    assert fake_server.stats()["requests"] == 0


def test_the_ledger_says_how_long_a_models_vectors_are(fake_server: FakeServer, tmp_path: Path) -> None:
    script = model(fake_server) + model(fake_server, "embedder") + VECTORS.format(n=8)
    embedded, said = _planned(script, tmp_path)
    assert (embedded["calls"], said["calls"]) == (20, 0)
    assert "embed: values unknown" in embedded["note"]
    (tmp_path / "one.sql").write_text(model(fake_server, "embedder") + "SELECT embed('one');")
    assert distil("run", tmp_path / "one.sql", "-d", tmp_path / "x.duckdb").returncode == 0
    embedded, said = _planned(script, tmp_path)
    assert (embedded["calls"], embedded["note"], said["calls"]) == (20, None, 19)


def test_deita_is_counted_to_its_end(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    answers, scored = _planned(ROOT / "examples" / "deita.sql", tmp_path)
    assert (answers["calls"], scored["calls"], scored["note"]) == (40, 120, None)


def test_rounds_of_evolution_are_counted_though_each_reads_the_answers_before(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    (evolved,) = _planned(ROOT / "examples" / "evol_instruct.sql", tmp_path)
    assert evolved["calls"] == 36
    assert "evolve: values unknown" in evolved["note"]


def test_another_embedder_can_be_named(fake_server: FakeServer, tmp_path: Path) -> None:
    script = model(fake_server, "embedder", price_in=1) + model(fake_server, "other", price_in=100, dimensions=4)
    script += "CREATE OR REPLACE TABLE v AS SELECT embed('text ' || i) AS vector FROM range(20) t(i);"
    cheap, dear = _planned(script, tmp_path)[0], _planned(script, tmp_path, "--embedder", "other")[0]
    assert dear["cost"][0] == pytest.approx(100 * cheap["cost"][0])
    database = tmp_path / "x.duckdb"
    ended = distil("run", tmp_path / "p.sql", "-d", database, "--embedder", "other")
    assert ended.returncode == 0, ended.stderr
    import duckdb

    with duckdb.connect(str(database)) as con:
        assert con.execute("SELECT DISTINCT model FROM distil.calls").fetchall() == [("other",)]
    ended = distil("run", tmp_path / "p.sql", "-d", database, "--embedder", "othr")
    assert ended.returncode == 2
    assert "did you mean 'other'" in ended.stderr
