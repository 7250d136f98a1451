"""A folder of `.sql` files run as one script: the order comes from what the files read and write."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import distil_sql
from distil_sql.errors import DistilError, OptionError, ScriptError
from distil_sql.pipeline import read_source
from distil_sql.pipeline.folder import read_folder
from distil_sql.pipeline.plan import plan
from distil_sql.pipeline.preview import preview
from distil_sql.script import read_script
from distil_sql.script.lexer import Source
from distil_sql.script.references import references
from tests.command import distil, model, query, start, value
from tests.fake_server import FakeServer

TASK = "CREATE OR REPLACE LABELLER TASK {}(text VARCHAR) PROMPT $$Rate: {{{{ text }}}}$$;"


def folder(path: Path, **files: str) -> Path:
    """Files `name.sql` in a folder of this name."""
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        (path / f"{name}.sql").write_text(text)
    return path


def order(path: Path, **files: str) -> str:
    """The names of the files in the order in which they would run."""
    statements = read_folder(folder(path / "p", **files)).statements
    assert [statement.number for statement in statements] == list(range(1, len(statements) + 1))
    return " ".join(dict.fromkeys(Path(statement.source.file).stem for statement in statements))


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """One database in memory for the module: making one writes the whole library."""
    with distil_sql.connect() as opened:
        yield opened


# -- the order ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ("a: SELECT * FROM b | b: SELECT * FROM c | c: SELECT 1 AS x", "c b a"),
        ("b: SELECT 1 AS x | a: SELECT 2 AS x | c: SELECT 3 AS x", "a b c"),
        ('a: SELECT * FROM "My Table" | z: CREATE TABLE "my table" AS SELECT 1', "z a"),
        ("a: FROM Z | z: FROM range(3)", "z a"),
        ("a: SELECT * FROM data.main.z | z: VALUES (1)", "z a"),
        ("a: SELECT * FROM x JOIN y USING (i), z | x: SELECT 1 AS i | z: FROM x | y: FROM z", "x z y a"),
        ("a: SELECT (SELECT max(i) FROM z) AS m | z: SELECT 1 AS i", "z a"),
        ("a: PIVOT z ON i USING count(*) | z: SELECT 1 AS i", "z a"),
        ("a: CREATE TABLE t AS FROM z; SELECT * FROM t | z: SELECT 1 AS i", "z a"),
        ("a: CREATE VIEW v AS SELECT * FROM z | b: SELECT * FROM v | z: SELECT 1 AS i", "z a b"),
        # a WITH query hides a table, but not from itself
        ("a: WITH z AS (SELECT 1 AS i) SELECT * FROM z | z: FROM a", "a z"),
        ("a: WITH z AS (SELECT * FROM z) SELECT * FROM z | z: SELECT 1", "z a"),
        ("a: WITH RECURSIVE z AS (SELECT 1 AS i UNION SELECT i + 1 FROM z WHERE i < 3) FROM z | z: FROM a", "a z"),
        ("a: SELECT * FROM (WITH q AS (SELECT 1) FROM q) s, q | q: SELECT 1", "q a"),
        # a schema's table is not the plain one
        ("a: SELECT * FROM raw.a | z: CREATE SCHEMA raw; CREATE TABLE raw.a AS SELECT 1", "z a"),
        ("a: CREATE TABLE raw.t AS SELECT 1 | z: CREATE SCHEMA IF NOT EXISTS raw", "z a"),
        ("a: SELECT * FROM old.t | z: ATTACH 'x.db' AS old", "z a"),
        ("a: SELECT * FROM x.main.t | b: CREATE TABLE x.t AS SELECT 1 | z: ATTACH 'x.db'", "z b a"),
        ("a: SELECT * FROM raw.b | b: SELECT * FROM raw.a", "a b"),
        ("a: MODEL b; CREATE TABLE c AS SELECT 1 | b: CREATE MACRO b(x) AS x; CREATE TABLE d AS FROM c", "a b"),
        # who writes comes before who reads
        ("a: SELECT * FROM t | b: INSERT INTO t SELECT 2 | c: CREATE TABLE t AS SELECT 1", "c b a"),
        (
            "a: SELECT * FROM t | b: UPDATE t SET i = 2 | c: DELETE FROM t WHERE i = 3"
            " | d: INSERT INTO t(i) VALUES (1) | t: SELECT 1 AS i",
            "t b c d a",
        ),
        ("a: SELECT * FROM known | b: INSERT INTO known SELECT 1", "b a"),
        ("a: FROM read_csv('out/x.csv') | b: COPY t TO 'out/x.csv' | t: SELECT 1", "t b a"),
        ("a: FROM './out/*.parquet' | b: COPY (SELECT 1) TO 'out/x.parquet' (FORMAT parquet)", "b a"),
        ("a: FROM 'out/*/*.parquet' | b: COPY (SELECT 1 AS i) TO 'out' (FORMAT parquet, PARTITION_BY i)", "b a"),
        ("a: DROP TABLE IF EXISTS t | b: FROM t | t: SELECT 1", "a t b"),
        ("b: FROM t | t: SELECT 1 | z: DROP TABLE t", "t b z"),
        # macros, types, table macros and what they read
        ("a: SELECT twice(1) AS x | z: CREATE OR REPLACE MACRO twice(x, k := 2) AS x * k", "z a"),
        ("a: FROM rows() | m: CREATE OR REPLACE MACRO rows() AS TABLE SELECT * FROM z | z: SELECT 1", "z m a"),
        ("a: FROM to_sft(z, i, j) | z: SELECT 1 AS i, 2 AS j", "z a"),
        ("a: FROM query_table('z') | z: SELECT 1 AS i", "z a"),
        ("a: SELECT 'x'::mood AS m | z: CREATE TYPE mood AS ENUM ('x')", "z a"),
        # models and tasks
        ("a: SELECT rate('x') AS r | b: TASK; | c: MODEL labeller", "b c a"),
        (
            "a: SELECT rate_n('x', model := 'm') AS r FROM range(2)"
            " | b: MODEL m; CREATE TABLE u AS SELECT 1 | c: TASK;CREATE TABLE v AS SELECT 1",
            "b c a",
        ),
        ("a: TASK MODEL late | m: CREATE MODEL late (TYPE pool, models ['z']) | z: MODEL z", "z m a"),
        ("a: SELECT judge('x', 'y') AS r | b: CREATE TABLE t AS SELECT 1; MODEL labeller", "b a"),
        ("a: TASK PARSE 'twice(response)' | z: CREATE MACRO twice(x) AS x || x", "z a"),
        # each with a model of its own, and one that needs the other's table
        (
            "label: MODEL labeller; CREATE TABLE l AS SELECT judge(r, r) AS j FROM generate"
            " | generate: MODEL generator; CREATE TABLE generate AS SELECT text_generation('x') AS r",
            "generate label",
        ),
        # settings and definitions come as early as they can
        ("a: SELECT 1 AS x | b: SET threads = 1; MODEL m | c: CREATE SECRET s (TYPE s3)", "b c a"),
    ],
)
def test_files_run_after_those_they_need_and_else_by_name(tmp_path: Path, files: str, expected: str) -> None:
    written = re.sub(r"(?<!E )(?<!TASK )\bMODEL (\w+)", r"CREATE MODEL \1 (TYPE openai, model 'm')", files)
    written = re.sub(r"\bTASK\b", TASK.format("rate")[:-1], written)
    assert order(tmp_path, **dict(file.split(": ", 1) for file in written.split(" | "))) == expected


def test_folders_within_hidden_files_and_other_files_are_left_alone(tmp_path: Path) -> None:
    path = folder(tmp_path / "p", a="SELECT 1", empty="", later="-- to come;")
    folder(path / "more", b="SELECT * FROM nothing")
    (path / ".c.sql").write_text("SELEC")
    (path / "README.md").write_text("SELEC")
    (path / "D.SQL").write_text("SELECT 2")
    assert order(tmp_path) == "D a"


def test_a_query_alone_makes_the_table_that_the_file_is_named_after(tmp_path: Path) -> None:
    path = folder(
        tmp_path / "p",
        plain="-- of range\n\nSELECT 1 AS x;\n",
        order="(SELECT 2 AS x)",
        **{"two words": "WITH q AS (SELECT 3 AS x) FROM q"},
        several="SELECT 4 AS x; SELECT 5 AS x",
    )
    texts = [statement.text for statement in read_folder(path).statements]
    assert texts == [
        'CREATE OR REPLACE TABLE "order" AS (SELECT 2 AS x)',
        "CREATE OR REPLACE TABLE plain AS SELECT 1 AS x",
        "SELECT 4 AS x",
        "SELECT 5 AS x",
        'CREATE OR REPLACE TABLE "two words" AS WITH q AS (SELECT 3 AS x) FROM q',
    ]
    distil_sql.run(path, tmp_path / "d.duckdb")
    tables = "SELECT list(table_name ORDER BY 1) FROM duckdb_tables() WHERE schema_name = 'main'"
    assert value(tmp_path / "d.duckdb", tables) == ["order", "plain", "two words"]
    assert value(tmp_path / "d.duckdb", "SELECT script FROM distil.runs") == str(path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a": "\nSELECT * FROM b", "b": "SELECT * FROM a"},
            r"p/a.sql:2:1: these files need each other: a.sql needs table 'b' of b.sql, and b.sql needs table 'a' of "
            r"a.sql; put them into one file",
        ),
        (
            {"a": "FROM b", "b": "SELECT rate('x') FROM c", "c": TASK.format("rate") + "CREATE TABLE c AS FROM a"},
            r"p/a.sql:1:1: .* table 'b' of b.sql, and b.sql needs .*'c' of c.sql, and c.sql needs table 'a' of a.sql",
        ),
        (
            {"a": "SELECT 1", "b": "SELECT 2;\nCREATE VIEW A AS SELECT 2"},
            r"p/b.sql:2:1: table 'a' is made by a.sql too",
        ),
        ({"a": TASK.format("rate"), "b": TASK.format("Rate")}, r"p/b.sql:1:1: task 'rate' is made by a.sql too"),
        ({"a": "SELECT 1", "b": "SELECT 'x"}, r"p/b.sql:1:8: this string is never closed"),
        ({"a": "LOAD TASKS 'x'"}, r"p/a.sql:1:12: there is no folder or file at 'x' \(looked in .*p/x\)"),
    ],
)
def test_what_has_no_order_is_one_sentence(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(ScriptError, match=message) as told:
        order(tmp_path, **files)
    assert "\n" not in str(told.value)


def test_an_empty_folder_is_one_sentence(tmp_path: Path) -> None:
    path = folder(tmp_path / "p")
    (path / "notes.txt").write_text("SELECT 1")
    ended = distil("run", path, "-d", tmp_path / "d.duckdb")
    assert (ended.returncode, ended.stderr) == (2, f"error: there is no .sql file in the folder {path}\n")
    assert not (tmp_path / "d.duckdb").exists()
    folder(path, a="-- to come", b="")
    with pytest.raises(OptionError, match=r"there is no statement in the \.sql files of the folder .*p$"):
        read_source(path)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT f(a, k := 1) FROM t SAMPLE 10%",
        "FROM t SELECT list_transform(x, lambda y: y)",
        "SELECT * FROM t WHERE @x",
    ],
)
def test_what_sqlglot_may_not_read_is_looked_through_by_its_words(query: str) -> None:
    (statement,) = read_script(Source(f"CREATE TABLE made AS {query}"))
    found = references(statement)
    assert ("table", "main.t") in found.reads
    assert found.makes == {("table", "main.made")}


# -- running -----------------------------------------------------------------------------------------------------------


def pipeline(path: Path, server: FakeServer, rows: int = 6, **files: str) -> Path:
    """Prompts, generations of them, labels of these; the names alone would have it the other way round."""
    models = model(server, seed=7, concurrency=4) + model(server, "labeller", temperature=0, concurrency=4)
    return folder(
        path,
        labelled="SELECT *, rate(response) AS label FROM generations",
        generations="SELECT i, text_generation('prompt ' || i) AS response FROM prompts",
        prompts=f"SELECT i FROM range({rows}) r(i)",
        rate=TASK.format("rate"),
        servers=models,
        **files,
    )


def test_a_folder_runs_previews_and_plans_as_a_script_does(tmp_path: Path, fake_server: FakeServer) -> None:
    path = pipeline(tmp_path / "p", fake_server)
    database = tmp_path / "d.duckdb"
    planned = [(line.label, line.rows, line.calls) for line in plan(read_source(path), str(database))]
    assert planned == [("CREATE generations", 6, 6), ("CREATE labelled", 6, 6)]
    shown = [len(one.rows) for one in preview(read_source(path), str(database), 2)]
    assert shown == [2, 2]
    assert not database.exists()
    distil_sql.run(path, database)
    assert query(database, "SELECT count(label), count(DISTINCT response) FROM labelled") == [(6, 6)]
    assert value(database, "SELECT list(target ORDER BY statement_no) FROM distil.status") == [
        "task rate", "model generator", "model labeller", "prompts", "generations", "labelled",
    ]  # fmt: skip


def test_a_folder_killed_goes_on_where_it_was(tmp_path: Path, fake_server: FakeServer) -> None:
    path = pipeline(tmp_path / "p", fake_server, rows=40)
    database = tmp_path / "d.duckdb"
    fake_server.configure(latency={"fixed_ms": 100})
    process = start("run", path, "-d", database)
    while fake_server.stats()["requests"] < 50 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    answered = value(database, "SELECT count(*) FROM distil.calls")
    state = distil_sql.run(path, database)
    assert [line.state for line in state.lines][:4] == ["skipped"] * 4
    assert 0 < answered < 80
    assert fake_server.stats()["requests"] <= 80 + 3 * 8  # in flight, or answered in the moment before
    assert value(database, "SELECT count(label) FROM labelled") == 40


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("-- a comment\n\nSELECT i,\n  nothing FROM prompts", "4:3"),
        ("SELECT i, nothing FROM prompts", "1:11"),
        ("SELECT 1;\nCREATE TABLE t AS SELECT nothing FROM prompts", "2:26"),
        ("-- a comment\nSELECT rate(i, 2, 3, 4, 5, 6) FROM prompts", "2:8"),
        ("\n  SELECT i::DATE FROM prompts", "2:11"),
    ],
)
def test_an_error_has_its_place_in_its_file(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, text: str, place: str
) -> None:
    path = folder(tmp_path / "p", prompts="SELECT 1 AS i", wrong=text, rate=TASK.format("rate"))
    with pytest.raises(DistilError) as told:
        distil_sql.run(path, con)
    assert str(told.value).startswith(f"{path}/wrong.sql:{place}: ")


def test_a_changed_file_starts_anew_and_pays_for_what_changed(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, fake_server: FakeServer
) -> None:
    path = pipeline(tmp_path / "p", fake_server, rows=3)
    distil_sql.run(path, con)
    folder(path, prompts="SELECT i FROM range(4) r(i)")
    state = distil_sql.run(path, con)
    assert {line.state for line in state.lines} == {"done"}
    assert fake_server.stats()["requests"] == 8
    assert con.execute("SELECT count(label) FROM labelled").fetchall() == [(4,)]
