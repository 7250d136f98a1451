"""The README tells the truth: its SQL runs, its commands exist, its tables match the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp")

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def _cli(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "distil_sql", *arguments], cwd=cwd, capture_output=True, text=True, timeout=200
    )


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The README's pipeline, run as it stands."""
    folder = tmp_path_factory.mktemp("readme")
    pipeline = folder / "pipeline.sql"
    pipeline.write_text(next(block for block in _blocks("sql") if "text_generation_n" in block))
    path = str(folder / "data.duckdb")
    ended = _cli("run", str(pipeline), "-d", path)
    assert ended.returncode == 0, ended.stderr
    return path


def test_the_pipeline_labels_every_generation(database: str) -> None:
    import duckdb

    with duckdb.connect(database) as con:
        row = con.execute("SELECT count(*), count(verdict.score), any_value(typeof(verdict)) FROM labelled").fetchone()
    assert row == (40, 40, "STRUCT(score INTEGER, reason VARCHAR)")


def test_the_queries_over_the_ledger_run(database: str) -> None:
    import duckdb

    queries = next(block for block in _blocks("sql") if "distil.status" in block)
    with duckdb.connect(database) as con:
        for query in queries.split(";"):
            if re.sub(r"--.*", "", query).strip():
                con.execute(query)


def test_the_training_sets_shown_are_made(database: str, tmp_path: Path) -> None:
    import shutil

    import distil_sql

    block = next(block for block in _blocks("sql") if "to_dpo" in block)
    copy = str(shutil.copy(database, tmp_path / "copy.duckdb"))
    with distil_sql.connect(copy) as con:
        for query in re.sub(r"--.*", "", block).split(";"):
            if query.strip():
                assert con.execute(query).fetchone() is not None or "to_" in query, query


def test_every_macro_named_exists_and_every_macro_is_named() -> None:
    for file in ("training_sets", "duplicates", "quality", "agreement", "ranking"):
        text = (ROOT / "sql" / "macros" / f"{file}.sql").read_text(encoding="utf-8")
        made = set(re.findall(r"CREATE OR REPLACE MACRO (\w+)", text))
        row = re.search(rf"\| \[{file}\].*\| `(.*)` \|", README)
        assert row is not None
        assert {name for name in made if not name.startswith("distil_")} - {"text_pieces"} == set(row[1].split(", "))


def test_the_models_and_tasks_shown_can_be_created(tmp_path: Path) -> None:
    import distil_sql

    with distil_sql.connect(tmp_path / "x.duckdb") as con:
        for block in _blocks("sql"):
            if "CREATE MODEL gpt" in block or "TASK stars" in block:
                distil_sql.run(block, con)


def test_the_python_block_runs(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(database).parent)
    (Path(database).parent / "examples").symlink_to(ROOT / "examples")
    exec(next(iter(_blocks("python"))), {})


def test_a_connection_of_ones_own_gets_the_tasks(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    shutil.copy(database, tmp_path / "data.duckdb")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(next(block for block in _blocks("python") if "distil_sql.register(" in block), names)
    assert str(names["best"].schema.field("verdict").type) == "struct<score: int32, reason: string>"


def test_the_embeddings_shown_are_made(database: str, tmp_path: Path) -> None:
    import shutil

    import distil_sql

    block = next(block for block in _blocks("sql") if "embed(" in block)
    tables, query = block.rstrip().removesuffix(";").rsplit(";", 1)
    with distil_sql.connect(str(shutil.copy(database, tmp_path / "copy.duckdb"))) as con:
        distil_sql.run(tables, con)
        assert len(con.execute(query).fetchall()) == 20


def test_the_task_in_python_runs(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    shutil.copy(database, tmp_path / "data.duckdb")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(next(block for block in _blocks("python") if "distil_sql.task" in block), names)
    calls = names["con"].execute("SELECT count(*) FROM distil.calls WHERE task = 'rate'").fetchall()
    assert calls[0][0] > 0


def test_every_command_named_exists_and_every_command_is_named() -> None:
    from distil_sql.cli import _VERBS

    named = set(re.findall(r"distil-sql ([a-z]+)", README))
    assert set(_VERBS) <= named
    assert named <= set(_VERBS)
    usage = re.search(r"```\n(Usage: .*?)\n```", README, re.DOTALL)
    assert usage is not None
    assert usage[1].split("\n")[0] in _cli("run", "--help").stdout


def test_every_preset_and_format_is_named() -> None:
    from distil_sql.models.presets import PRESETS
    from distil_sql.prompt.formats import FORMATS

    for name in (*PRESETS, *FORMATS):
        assert name in README, name


def test_both_set_up_commands_are_one_line() -> None:
    for name in ("run", "tests"):
        found = re.search(rf"<!-- command: {name} -->\n```sh\n(.*?)```", README, re.DOTALL)
        assert found is not None
        assert len(found[1].strip().split("\n")) == 1
