"""A wheel holds all that the source tree has: SQL files, the tiny model, the typed marker; both find `sql/`."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_sql_files_the_model_and_the_typed_marker(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {f"distil_sql/sql/{path.relative_to(ROOT / 'sql')}" for path in (ROOT / "sql").rglob("*.*")}
    assert shipped <= names
    assert {"distil_sql/py.typed", "distil_sql/tiny/tiny.gguf"} <= names
    package = ROOT / "distil_sql/dbt/package"
    in_dbt = {f"distil_sql/dbt/package/{path.relative_to(package)}" for path in package.rglob("*.*")}
    assert len(in_dbt) >= 4
    assert in_dbt <= names
    assert not [name for name in names if name.startswith(("tests/", "examples/"))]


def test_a_wheel_install_finds_its_sql_files(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    script = "import distil_sql.resources as r; print(r.sql_folder()); print(len(r.read_sql('schema.sql')))"
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    folder, size = ended.stdout.split()
    assert folder == str(target / "distil_sql" / "sql")
    assert int(size) > 100


def test_the_source_tree_finds_its_sql_files() -> None:
    from distil_sql.resources import sql_folder

    assert sql_folder() == ROOT / "sql"


def test_the_tiny_model_is_small_enough_to_ship() -> None:
    assert (ROOT / "distil_sql/tiny/tiny.gguf").stat().st_size <= 4_000_000


def test_the_licence_says_apache_two_everywhere() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"


def test_the_repository_names_no_host_and_no_machine_path() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    for name in tracked:
        if (
            name.endswith((".py", ".md", ".sql", ".toml", ".csv", "run", ".cmake"))
            and name != "tests/test_packaging.py"
        ):
            text = (ROOT / name).read_text(encoding="utf-8")
            assert "/work/" not in text, name
            assert "/root/" not in text, name
