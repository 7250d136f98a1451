"""A script that cannot work ends with an exit code and one sentence that says where; nothing half-written is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tests.fake_server import FakeServer

ROOT = Path(__file__).parents[1]


class Project:
    """A folder with a script and a database in which the task library is there already."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.database = folder / "data.duckdb"

    def run(self, script: str | None = None, *more: str, database: str = "data.duckdb") -> tuple[int, str]:
        """Exit code and the lines of stderr that tell an error."""
        if script is not None:
            (self.folder / "s.sql").write_text(script.replace("{url}", self.url), encoding="utf-8")
        env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "distil_sql", *(more or ("run", "s.sql")), "-d", database]
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=120)
        assert "Traceback" not in done.stderr, done.stderr
        lines = done.stderr.splitlines()
        errors = [i for i, line in enumerate(lines) if line.lower().startswith("error: ")]
        if done.returncode:
            assert errors == [len(lines) - 1], done.stderr  # one sentence, and the last
            return done.returncode, lines[-1]
        return 0, ""

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.database)) as con:
            return con.execute(sql).fetchall()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    assert Project(folder, "").run("CREATE TABLE rows AS SELECT 'row ' || i AS x, i AS id FROM range(4) r(i);") == (
        0,
        "",
    )
    return folder / "data.duckdb"


@pytest.fixture
def project(prepared: Path, tmp_path: Path, fake_server: FakeServer) -> Project:
    shutil.copy(prepared, tmp_path / "data.duckdb")
    return Project(tmp_path, fake_server.base_url)


MODEL = "CREATE MODEL generator (TYPE openai, model 'm', base_url '{url}');\n"
TASK = "CREATE GENERATOR TASK say(topic VARCHAR) PROMPT $$Say {{ topic }}$$;\n"
BEFORE = MODEL + TASK

# name: (script, where, what): refused before anything runs
REFUSED = {
    "a typo in a task's name": (
        BEFORE + "SELECT\n  sayy_n(x) FROM rows;",
        "4:3",
        "there is no task or function 'sayy_n'; did you mean 'say_n'?",
    ),
    "a typo in the library's": (
        MODEL + "SELECT text_generatoin(x) FROM rows;",
        "2:8",
        "did you mean 'text_generation'?",
    ),
    "too many arguments": (BEFORE + "SELECT say(x, x) FROM rows;", "3:8", "say(topic) takes 1 argument, 2 given"),
    "too few arguments": (BEFORE + "SELECT say() FROM rows;", "3:8", "say(topic) misses its argument 'topic'"),
    "an unknown named argument": (
        BEFORE + "SELECT say(x, modle := 'y') FROM rows;",
        "3:24",
        "say(topic) has no argument 'modle'; did you mean 'model'?",
    ),
    "an unknown format": (
        BEFORE + "SELECT say_prompt(x, format := 'chatlm') FROM rows;",
        "3:32",
        "did you mean 'chatml'?",
    ),
    "an open dollar quote": (
        "SELECT 1;\nCREATE GENERATOR TASK t() PROMPT $$ abc",
        "2:34",
        "this dollar quote is never closed",
    ),
    "an open string": ("SELECT 1;\nSELECT 'abc;", "2:8", "this string is never closed"),
    "an open comment": ("SELECT 1; /* abc", "1:11", "this comment is never closed"),
    "a template variable": (
        "CREATE GENERATOR TASK t(topic VARCHAR) PROMPT $$One\n {{ topik }}$$;",
        "2:5",
        "task 't': the prompt uses 'topik', which is no argument of the task; did you mean 'topic'?",
    ),
    "a template's syntax": ("CREATE GENERATOR TASK t(x VARCHAR) PROMPT $$One\n{% if x %}$$;", "2:1", "does not parse"),
    "no model": (TASK + "SELECT say(x) FROM rows;", "2:8", "task 'say' has no model: CREATE MODEL generator (TYPE …)"),
    "a missing model": (
        BEFORE + "SELECT say(x, model := 'genrator') FROM rows;",
        "3:24",
        "task 'say' asks for model 'genrator', which does not exist; did you mean 'generator'?",
    ),
    "an unknown option": (
        "CREATE MODEL m (TYPE openai,\n  model 'x', temprature 0);",
        "2:14",
        "unknown option 'temprature' for TYPE openai; did you mean 'temperature'?",
    ),
    "a key in the script": (
        "CREATE MODEL m (TYPE openai, model 'x', api_key 'sk-123');",
        "1:41",
        "keys never stand in a script, so 'api_key' is no option: put the key in an environment variable",
    ),
    "a key that is not set": (
        "CREATE MODEL generator (TYPE openai, model 'x');\n" + TASK + "SELECT say(x) FROM rows;",
        "3:8",
        "model 'generator' needs the environment variable OPENAI_API_KEY: set it to your API key",
    ),
    "a PARSE that does not bind": (
        "CREATE GENERATOR TASK t() RETURNS INTEGER PROMPT 'p'\n  PARSE $$ scor(response) $$;",
        "2:11",
        "task 't': its PARSE is not valid: Catalog Error: Scalar Function with name scor does not exist!",
    ),
    "a RETURNS that is no type": (
        "CREATE GENERATOR TASK t()\n  RETURNS INTEGR PROMPT 'p';",
        "2:11",
        "task 't': RETURNS INTEGR is no DuckDB type",
    ),
    "a function of DuckDB's": (
        "CREATE GENERATOR TASK lower(x VARCHAR) PROMPT '{{ x }}';",
        "1:23",
        "there is a function 'lower' of DuckDB already: call the task something else",
    ),
    "a task that exists": (BEFORE + TASK, "3:23", "task 'say' exists: say CREATE OR REPLACE, or IF NOT EXISTS"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_script_that_cannot_work_is_refused_before_it_runs(project: Project, name: str) -> None:
    script, where, what = REFUSED[name]
    code, said = project.run("CREATE TABLE written AS SELECT 1 AS i;\n" + script)
    line, column = where.split(":")
    assert code == 2
    assert said.startswith(f"error: s.sql:{int(line) + 1}:{column}: ")
    assert what in said
    assert project.query("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'written'") == [(0,)]
    assert project.query("SELECT count(*) FROM distil.models") == [(0,)]
    assert project.query("SELECT count(*) FROM distil.tasks WHERE origin IS NULL") == [(0,)]
    assert project.query("SELECT count(*) FROM distil.runs WHERE state <> 'done'") == [(0,)]


# name: (script, where, what, exit code): only DuckDB can tell, when the statement's turn comes
FAILS = {
    "a wrong type": (
        BEFORE + "CREATE GENERATOR TASK t(x INTEGER) PROMPT '{{ x }}';\nCREATE TABLE out AS SELECT t('abc') FROM rows;",
        "4:",
        "Could not convert string 'abc' to INT32",
        2,
    ),
    "a missing column": (
        BEFORE + "CREATE TABLE out AS\nSELECT say(x), nope FROM rows;",
        "4:16",
        'Referenced column "nope" not found in FROM clause',
        2,
    ),
    "a missing table": (BEFORE + "CREATE TABLE out AS SELECT say(x) FROM nope;", "3:40", "name nope does not exist", 2),
    "a missing file": (BEFORE + "CREATE TABLE out AS SELECT say(x) FROM 'nope.csv';", "3:", 'pattern "nope.csv"', 2),
    "a typo in the SQL": (BEFORE + "CREATE TABLE out AS SELEC say(x) FROM rows;", "3:", "syntax error at or near", 2),
    "an unknown setting": ("SET nope = 1;", "1:5", 'unrecognized configuration parameter "nope"', 2),
    "an error of its own": (BEFORE + "CREATE TABLE out AS SELECT say(x), error('boom') FROM rows;", "3:", "boom", 2),
    "a broken constraint": (
        "CREATE TABLE out (i INTEGER PRIMARY KEY);\nINSERT INTO out SELECT 1 FROM rows;",
        "2:1",
        "constraint violation",
        1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(FAILS))
def test_a_statement_that_fails_is_one_sentence_and_leaves_nothing_of_itself(project: Project, name: str) -> None:
    script, where, what, expected = FAILS[name]
    code, said = project.run(script)
    assert code == expected
    assert said.startswith(f"error: s.sql:{where}")
    assert what in said
    if name == "a broken constraint":
        assert project.query("SELECT count(*) FROM out") == [(0,)]
    else:
        assert project.query("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'out'") == [(0,)]
    assert project.query("SELECT state, error IS NOT NULL FROM distil.runs ORDER BY started_at DESC LIMIT 1") == [
        ("failed", True)
    ]


def test_a_missing_script_is_one_sentence(project: Project) -> None:
    assert project.run(None, "run", "nope.sql") == (2, "error: there is no script nope.sql")
    assert project.run(None, "preview", "nope.sql") == (2, "error: there is no script nope.sql")


def test_a_script_without_a_statement_is_one_sentence(project: Project) -> None:
    said = "error: s.sql:1:1: there is no statement in this script"
    assert project.run("-- nothing at all\n") == (2, said)


def test_a_script_that_is_no_text_is_one_sentence(project: Project) -> None:
    (project.folder / "s.sql").write_bytes(b"SELECT '\xff';")
    assert project.run() == (2, "error: s.sql is not UTF-8 text")
    assert project.run(None, "run", ".") == (2, "error: s.sql is not UTF-8 text")  # nor is a folder that holds it


def test_a_byte_order_mark_and_windows_lines_do_not_matter(project: Project) -> None:
    text = MODEL.replace("{url}", project.url) + "CREATE TABLE out AS SELECT 1 AS i;"
    (project.folder / "s.sql").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert project.run() == (0, "")
    assert project.query("FROM out") == [(1,)]


def test_a_database_that_is_a_folder_or_something_else_is_one_sentence(project: Project) -> None:
    (project.folder / "folder").mkdir()
    (project.folder / "text.duckdb").write_text("hello " * 1000)
    code, said = project.run("SELECT 1;", database="folder")
    assert (code, said.startswith("error: folder cannot be opened")) == (1, True)
    assert project.run("SELECT 1;", database="text.duckdb") == (1, "error: text.duckdb is not a DuckDB database")
    code, said = project.run("SELECT 1;", database="nowhere/data.duckdb")
    assert (code, said) == (1, "error: nowhere/data.duckdb cannot be created: its folder does not exist")


@pytest.fixture
def locked(project: Project) -> Iterator[Project]:
    """The project while another process has its database open."""
    code = f"import duckdb; con = duckdb.connect({str(project.database)!r}); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        yield project
        other.communicate("\n")


def test_a_database_in_use_is_one_sentence_with_the_remedy(locked: Project) -> None:
    code, said = locked.run("SELECT 1;")
    assert code == 1
    assert said == (
        "error: data.duckdb is in use by another process: wait for it, or watch it with "
        "'distil-sql status -d data.duckdb'"
    )


def test_a_table_may_be_called_as_a_task_is(project: Project) -> None:
    script = "CREATE TABLE judge (id INTEGER, a VARCHAR);\nINSERT INTO main.judge (id, a) VALUES (1, 'x');\n"
    script += "CREATE TABLE out AS WITH text_generation(i) AS (FROM range(2)) SELECT i FROM text_generation;"
    assert project.run(script) == (0, "")
    assert project.query("SELECT count(*) FROM judge, out") == [(2,)]


def test_preview_says_the_same(project: Project) -> None:
    (project.folder / "s.sql").write_text(BEFORE.replace("{url}", project.url) + "SELECT sayy(x) FROM rows;")
    code, said = project.run(None, "preview", "s.sql")
    assert (code, said) == (2, "error: s.sql:3:8: there is no task or function 'sayy'; did you mean 'say'?")
