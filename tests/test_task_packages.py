"""Tasks that come from elsewhere: `LOAD TASKS` of folders and files, and packages installed with pip."""

from __future__ import annotations

import base64
import hashlib
import importlib
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import distil_sql
from distil_sql.errors import DistilWarning, ScriptError
from distil_sql.pipeline import read_source
from distil_sql.pipeline.plan import plan
from tests.command import distil, model, query, value
from tests.fake_server import FakeServer

TASK = """-- what it is for
CREATE OR REPLACE LABELLER TASK {name}(text VARCHAR) PROMPT $${prompt}: {{{{ text }}}}$$;
"""
PARSED = """CREATE OR REPLACE MACRO first_number(answer) AS regexp_extract(answer, '\\d+')::INTEGER;
CREATE OR REPLACE LABELLER TASK digits(text VARCHAR) RETURNS INTEGER
  PROMPT $$Digits: {{ text }}$$ PARSE $$first_number(response)$$;
"""


def task(name: str, prompt: str = "Rate") -> str:
    return TASK.format(name=name, prompt=prompt)


def write(folder: Path, **files: str) -> Path:
    """Files `name.sql` in a folder."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    return folder


@pytest.fixture(scope="module")
def opened() -> Iterator[duckdb.DuckDBPyConnection]:
    """One database in memory for the module: making one writes the whole library."""
    with distil_sql.connect() as con:
        yield con


@pytest.fixture
def con(
    opened: duckdb.DuckDBPyConnection, fake_server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[duckdb.DuckDBPyConnection]:
    """It, with a labeller, in an empty folder; tasks of the test's own go again."""
    monkeypatch.chdir(tmp_path)
    shipped = dict(opened.execute("SELECT name, origin FROM distil.tasks").fetchall())
    distil_sql.run(model(fake_server, "labeller", temperature=0), opened)
    yield opened
    for name, origin in opened.execute("SELECT name, origin FROM distil.tasks").fetchall():
        if shipped.get(name) != origin:
            distil_sql.run(f'DROP TASK "{name}";', opened)


def origins(con: duckdb.DuckDBPyConnection) -> dict[str, str | None]:
    """The tasks of the database that are not built in, each with where it is from."""
    rows = con.execute("SELECT name, origin FROM distil.tasks WHERE origin IS DISTINCT FROM 'built-in'").fetchall()
    return dict(rows)


def prompt(con: duckdb.DuckDBPyConnection, name: str) -> str:
    return str(con.execute(f"SELECT {name}_prompt('x')").fetchall()[0][0])


# -- folders and files -------------------------------------------------------------------------------------------------


def test_a_folder_of_tasks_is_loaded_from_beside_the_script(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "tasks", rate=task("rate"), digits=PARSED)
    (tmp_path / "tasks" / "README.md").write_text("not SQL")
    script = tmp_path / "pipeline.sql"
    script.write_text("LOAD TASKS 'tasks/';\nCREATE OR REPLACE TABLE t AS SELECT rate('a') AS r, digits('7') AS d;")
    monkeypatch.chdir("/")
    state = distil_sql.run(script, con)
    assert [line.target for line in state.lines] == ["tasks of tasks/", "t"]
    assert con.execute("SELECT r LIKE '%Rate: a%', d FROM t").fetchall() == [(True, 7)]
    assert origins(con) == {"rate": "folder tasks", "digits": "folder tasks"}


def test_a_file_of_tasks_is_loaded_from_the_working_folder_by_a_statement_alone(con: duckdb.DuckDBPyConnection) -> None:
    Path("mine.sql").write_text(task("rate"))
    distil_sql.run("LOAD TASKS 'mine.sql';", con)
    assert "Rate: x" in prompt(con, "rate")


def test_of_two_folders_the_second_is_qualified_where_they_clash(con: duckdb.DuckDBPyConnection) -> None:
    write(Path("strict"), rate=task("rate", "Strictly"))
    write(Path("kind"), rate=task("rate", "Kindly"), other=task("other"))
    script = "LOAD TASKS 'strict';\nLOAD TASKS 'kind';\n"
    for _ in range(2):  # the same again, in a database that knows them
        with pytest.warns(DistilWarning, match=r"kind/rate.sql:2: .* 'rate' of folder strict already.* 'kind_rate'"):
            distil_sql.run(script, con)
        assert "Strictly" in prompt(con, "rate")
        assert "Kindly" in prompt(con, "kind_rate")
        assert sorted(origins(con)) == ["kind_rate", "other", "rate"]


def test_a_name_after_as_goes_before_each(con: duckdb.DuckDBPyConnection) -> None:
    write(Path("tasks"), rate=task("rate"))
    distil_sql.run("LOAD TASKS 'tasks' AS ours;", con)
    assert list(origins(con)) == ["ours_rate"]


def test_what_the_script_itself_has_made_keeps_its_name(con: duckdb.DuckDBPyConnection) -> None:
    write(Path("tasks"), rate=task("rate", "Loaded"))
    with pytest.warns(DistilWarning, match="'tasks_rate'"):
        distil_sql.run(task("rate", "Own") + "LOAD TASKS 'tasks';", con)
    assert "Own" in prompt(con, "rate")
    assert "Loaded" in prompt(con, "tasks_rate")


def test_a_task_that_moves_from_the_script_into_a_folder_is_the_folders(con: duckdb.DuckDBPyConnection) -> None:
    distil_sql.run(task("rate", "Old"), con)
    write(Path("tasks"), rate=task("rate", "New"))
    distil_sql.run("LOAD TASKS 'tasks';", con)
    assert "New" in prompt(con, "rate")
    assert origins(con) == {"rate": "folder tasks"}
    distil_sql.run(task("rate", "Own again").replace("OR REPLACE ", ""), con)  # what was loaded gives way
    assert origins(con) == {"rate": None}


def test_a_folder_goes_over_a_task_of_the_library(con: duckdb.DuckDBPyConnection) -> None:
    write(Path("tasks"), judge=task("judge", "Our own way"))
    distil_sql.run("LOAD TASKS 'tasks';", con)
    assert "Our own way" in prompt(con, "judge")


def test_a_changed_task_asks_anew_and_a_stopped_run_with_it_starts_anew(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    write(Path("tasks"), rate=task("rate"))
    script = (
        "LOAD TASKS 'tasks';\nCREATE OR REPLACE TABLE r AS SELECT rate('new') AS r;\nSELECT * FROM read_csv('x.csv');"
    )
    for _ in range(2):
        with pytest.raises(ScriptError, match=r"x\.csv"):
            distil_sql.run(script, con)
    assert fake_server.stats()["requests"] == 1
    last = "(SELECT run_id FROM distil.runs ORDER BY started_at DESC LIMIT 1)"
    states = f"SELECT state FROM distil.status WHERE run_id = {last} ORDER BY statement_no"
    assert con.execute(states).fetchall() == [("skipped",), ("skipped",), ("failed",)]
    write(Path("tasks"), rate=task("rate", "Weigh"))
    Path("x.csv").write_text("a\n1\n")
    assert [line.state for line in distil_sql.run(script, con).lines] == ["done"] * 3
    assert "Weigh: new" in con.execute("SELECT r FROM r").fetchall()[0][0]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("LOAD TASKS 'nowhere/'", r"<script>:2:12: there is no folder or file at 'nowhere/' \(looked in .*nowhere\)"),
        ("LOAD TASKS 'empty'", r"<script>:2:12: there is a folder without .sql files at 'empty'"),
        ("LOAD TASKS 'bad'", r"bad/a.sql:2:\d+: task 'rate': the prompt uses 'txt'"),
        ("LOAD TASKS 'table'", r"table/t.sql:1:1: only CREATE … TASK and CREATE OR REPLACE MACRO belong"),
        ("LOAD TASKS 'parse'", r"parse/p.sql:1:1: task 'p': its PARSE is not valid: .*no_such_function"),
        ("LOAD TASKS 'macro'", r"macro/m.sql:1:1: .*no_such_function"),
        ("LOAD TASKS acme_x", r"<script>:2:12: no installed package brings tasks called 'acme_x'"),
        ("LOAD TASKS 'twin'", r"twin/b.sql:2:1: task 'Rate' is made in a.sql:2 too: rename one"),
        ("LOAD TASKS 'a/x'; LOAD TASKS 'b/x'", r"<script>:2:19: 'a/x' and 'b/x' would both go by 'x': give one a name"),
        ("LOAD TASKS 'bad' TO x", r"<script>:2:18: unexpected 'TO'"),
        ("LOAD TASKS 5", r"<script>:2:12: expected LOAD TASKS takes"),
    ],
)
def test_what_cannot_be_loaded_is_told_before_anything_runs(
    con: duckdb.DuckDBPyConnection, statement: str, message: str
) -> None:
    Path("empty").mkdir()
    write(Path("bad"), a=task("rate").replace("{{ text }}", "{{ txt }}"))
    write(Path("twin"), a=task("rate"), b=task("Rate"))
    write(Path("table"), t="CREATE TABLE x(i INTEGER)")
    write(Path("parse"), p="CREATE LABELLER TASK p(t VARCHAR) PROMPT 'x {{ t }}' PARSE 'no_such_function(response)'")
    write(Path("macro"), m="CREATE OR REPLACE MACRO m(x) AS no_such_function(x)")
    with pytest.raises(ScriptError, match=message):
        distil_sql.run(f"CREATE TABLE never AS SELECT 1;\n{statement};", con)
    assert con.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'never'").fetchall() == [(0,)]
    assert origins(con) == {}


def test_a_plan_loads_tasks_and_writes_nothing(fake_server: FakeServer, tmp_path: Path) -> None:
    write(tmp_path / "tasks", digits=PARSED)
    script = tmp_path / "p.sql"
    script.write_text(
        model(fake_server, "labeller") + "LOAD TASKS 'tasks';\nCREATE TABLE t AS SELECT digits('a') AS d FROM range(3);"
    )
    (planned,) = plan(read_source(script), str(tmp_path / "d.duckdb"))
    assert (planned.rows, planned.calls) == (3, 1)
    assert not (tmp_path / "d.duckdb").exists()


# -- installed packages ------------------------------------------------------------------------------------------------


Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Build a wheel of task files and let pip install it into a folder that Python looks in."""
    site = tmp_path / "site"
    site.mkdir()

    def installed(version: str = "1.0", entry: str = "acme = acme_tasks", **files: str) -> Path:
        wheel = tmp_path / f"acme_sql-{version}-py3-none-any.whl"
        about = f"acme_sql-{version}.dist-info"
        held = {f"acme_tasks/{name}.sql": text for name, text in files.items()}
        held["acme_tasks/__init__.py"] = "from pathlib import Path\nTASKS = [Path(__file__).parent]\n"
        held[f"{about}/METADATA"] = f"Metadata-Version: 2.1\nName: acme-sql\nVersion: {version}\n"
        held[f"{about}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        held[f"{about}/entry_points.txt"] = f"[distil_sql.tasks]\n{entry}\n"
        held[f"{about}/RECORD"] = "".join(f"{path},{_digest(text)},{len(text)}\n" for path, text in held.items())
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, text in held.items():
                archive.writestr(path, text)
        for old in site.glob("acme*"):  # pip leaves an older version in a target folder
            old.unlink() if old.is_file() else shutil.rmtree(old)
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile", "--target"]
        subprocess.run([*pip, str(site), str(wheel)], check=True, capture_output=True)
        importlib.invalidate_caches()
        return site

    monkeypatch.syspath_prepend(str(site))
    return installed


def _digest(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def reopened(path: Path, ask: Callable[[duckdb.DuckDBPyConnection], Any]) -> Any:
    with distil_sql.connect(path) as con:
        return ask(con)


def test_tasks_of_a_package_are_there_under_their_own_and_its_name_and_follow_its_versions(
    install: Install, tmp_path: Path
) -> None:
    database = tmp_path / "d.duckdb"
    install("1.0", rate=task("rate"), judge=task("judge", "As acme does"), gone=task("gone"), digits=PARSED)
    names = {"rate", "acme_rate", "acme_judge", "gone", "acme_gone", "digits", "acme_digits"}
    expected = dict.fromkeys(names, "package acme 1.0")
    with distil_sql.connect(database) as con:
        assert origins(con) == expected
        assert "As acme does" in prompt(con, "acme_judge")
        assert "Rate: x" in prompt(con, "acme_rate") == prompt(con, "rate")
        assert "As acme does" not in con.execute("SELECT judge_prompt('x', 'y')").fetchall()[0][0]
        distil_sql.run(task("rate", "My own").replace("OR REPLACE ", ""), con)
        written = con.execute("SELECT max(created_at) FROM distil.tasks").fetchall()
    with distil_sql.connect(database) as con:  # nothing to do, nothing done
        assert con.execute("SELECT max(created_at) FROM distil.tasks").fetchall() == written
        assert "My own" in prompt(con, "rate")

    site = install("2.0", rate=task("rate", "Weigh"), judge=task("judge", "As acme does"), digits=PARSED)
    with distil_sql.connect(database) as con:
        assert origins(con) == {"rate": None} | dict.fromkeys(
            ["acme_rate", "acme_judge", "digits", "acme_digits"], "package acme 2.0"
        )
        assert "Weigh" in prompt(con, "acme_rate")
        assert "My own" in prompt(con, "rate")
        with pytest.raises(duckdb.CatalogException):
            prompt(con, "gone")

    listed = distil("tasks", "-d", database, PYTHONPATH=str(site))
    assert "package acme 2.0" in next(line for line in listed.stdout.splitlines() if line.startswith("acme_judge"))
    shutil.rmtree(site)
    importlib.invalidate_caches()
    assert "Weigh" in reopened(database, lambda con: prompt(con, "acme_rate"))  # the database is whole without it


def test_a_bad_file_of_a_package_is_told_and_the_others_work(install: Install, tmp_path: Path) -> None:
    database = tmp_path / "d.duckdb"
    site = install(
        rate=task("rate"),
        zz=task("rate", "Again"),
        torn="CREATE OR REPLACE LABELLER TASK torn(text VARCHAR PROMPT $$ $$",
        typed="CREATE OR REPLACE LABELLER TASK typed(text NO_SUCH_TYPE) PROMPT $${{ text }}$$",
    )
    told = [
        r"acme-sql 1.0, torn.sql:1:\d+: this bracket is never closed",
        r"acme-sql 1.0, zz.sql:2:1: task 'rate' is made in acme-sql 1.0, rate.sql:2 too: rename one",
        r"acme-sql 1.0, typed.sql:1:1: .*NO_SUCH_TYPE",
    ]
    for _ in range(2):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            assert "Rate" in reopened(database, lambda con: prompt(con, "acme_rate"))
        heard = list(dict.fromkeys(str(warning.message) for warning in said))
        assert all(warning.category is DistilWarning for warning in said)
        assert len(heard) == len(told)
        assert all(re.match(pattern, message) for pattern, message in zip(told, heard, strict=True))
    ended = distil("tasks", "show", "acme_rate", "-d", database, PYTHONPATH=str(site))
    assert ended.returncode == 0
    assert [line.split(":")[0] for line in ended.stderr.splitlines()] == ["warning"] * 3
    assert "From: package acme 1.0" in ended.stdout


def test_a_script_may_say_which_package_it_needs(install: Install, tmp_path: Path, fake_server: FakeServer) -> None:
    site = install(entry="acme = acme_tasks:TASKS", rate=task("rate"))
    script = tmp_path / "p.sql"
    script.write_text(
        model(fake_server, "labeller") + "LOAD TASKS acme;\nLOAD TASKS acme AS x;\n"
        "CREATE TABLE t AS SELECT acme_rate('a') AS a, rate('b') AS b, x_rate('c') AS c;"
    )
    database = tmp_path / "d.duckdb"
    ended = distil("run", script, "-d", database, PYTHONPATH=str(site))
    assert ended.returncode == 0, ended.stderr
    assert query(database, "SELECT a LIKE '%Rate: a%', b LIKE '%Rate: b%', c LIKE '%Rate: c%' FROM t") == [(True,) * 3]
    assert value(database, "SELECT list(DISTINCT task ORDER BY task) FROM distil.calls") == [
        "acme_rate",
        "rate",
        "x_rate",
    ]
