"""The rooms of the house: imports point downward only, printing and exiting stay in `cli`, start-up stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "distil_sql"

# from the top down; a room may import only from rooms below it, and from itself
ROOMS = [
    "__main__",
    "cli",
    "shell",
    "export",
    "dbt",
    "api",
    "pipeline",
    "serve",
    "sharing",
    "notebook",
    "interrupt",
    "wording",
    "status",
    "session",
    "check",
    "library",
    "udf",
    "registry",
    "script",
    "engine",
    "ledger",
    "models",
    "tiny",
    "task",
    "prompt",
    "resources",
    "quoting",
    "errors",
]


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


# evaluate.py is a script about the product, not a part of it
NO_ROOM = (PACKAGE / "__init__.py", PACKAGE / "tiny" / "evaluate.py")
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path not in NO_ROOM)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(path: Path) -> None:
    own = ROOMS.index(_room(path))
    for module in _imports(path):
        parts = module.split(".")
        if parts[0] == "distil_sql" and len(parts) > 1 and parts[1] in ROOMS:
            assert ROOMS.index(parts[1]) >= own, f"{_room(path)} imports {module}, which is above it"


@pytest.mark.parametrize("path", [p for p in MODULES if _room(p) == "models"], ids=lambda path: path.name)
def test_models_never_import_duckdb(path: Path) -> None:
    assert not {module for module in _imports(path) if module.split(".")[0] == "duckdb"}


@pytest.mark.parametrize(
    "path", [p for p in MODULES if _room(p) not in ("cli", "__main__", "tiny")], ids=lambda path: str(path.name)
)
def test_nothing_below_the_command_line_prints_or_exits(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("print", "sys.exit", "exit", "quit", "os._exit"), (
                f"{path.name}:{node.lineno} {called}"
            )


@pytest.mark.parametrize("path", [p for p in MODULES if _room(p) != "tiny"], ids=lambda path: path.name)
def test_modules_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    assert path.name != "utils.py"


def test_help_loads_none_of_the_heavy_packages() -> None:
    heavy = ["duckdb", "pyarrow", "openai", "llama_cpp", "sqlglot", "jinja2", "numpy", "pyreqwest"]
    script = (
        "import sys; from distil_sql.cli import cli\n"
        "try: cli.main(['--help'], standalone_mode=False)\nfinally: pass\n"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]\n"
        "sys.stderr.write(','.join(loaded))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Commands" in ended.stdout
    assert ended.stderr == ""


def test_public_names_are_what_they_were() -> None:
    import distil_sql

    assert distil_sql.__all__ == [
        "DistilError",
        "__version__",
        "connect",
        "register",
        "register_task",
        "run",
        "sql",
        "task",
    ]
    assert all(hasattr(distil_sql, name) for name in distil_sql.__all__)
