"""The shell: at a real terminal as a person types, and as a command in scripts."""

from __future__ import annotations

import csv
import json
import os
import shutil
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from distil_sql.check import apply_ddl
from distil_sql.script import Source, read_script
from distil_sql.session import Session
from distil_sql.shell.catalog import Catalog
from distil_sql.shell.completion import suggest
from distil_sql.shell.reading import Dot, is_whole, read
from tests.command import model, query
from tests.fake_server import FakeServer
from tests.inside import Ended, distil
from tests.terminal import CTRL_C, CTRL_D, ENTER, TAB, UP, Terminal

at_a_terminal = pytest.mark.skipif(find_spec("prompt_toolkit") is None, reason="prompt_toolkit is not there")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a table of every kind of value that is awkward to show."""
    path = tmp_path_factory.mktemp("shell") / "x.duckdb"
    made = distil(
        "shell",
        path,
        "-c",
        """CREATE TABLE odd AS SELECT * FROM (VALUES
            (1, 'plain', 1.50::DECIMAL(4, 2), {'k': 1, 'l': ['x']}), (2, 'a "quote", a | and
two lines', NULL, NULL), (3, '', 0, {'k': NULL, 'l': []}), (4, '漢字 😀', -1, {'k': 2, 'l': NULL}))
            t(id, said, price, nested);
        CREATE VIEW dear AS FROM odd WHERE price > 1;""",
    )
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    return path


@pytest.fixture(scope="module")
def _empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shell") / "empty.duckdb"
    assert distil("shell", path, "-c", "CHECKPOINT").returncode == 0
    return path


@pytest.fixture
def path(_empty: Path, tmp_path: Path) -> Path:
    """A database of one's own with nothing in it but the library."""
    return shutil.copy(_empty, tmp_path / "own.duckdb")


def shown(database: Path, *arguments: str) -> str:
    """What a shell that goes well prints."""
    ended = distil("shell", database, *arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def failed(database: Path, *arguments: str) -> str:
    """The one line that a shell that fails prints on stderr."""
    ended = distil("shell", database, *arguments)
    assert ended.returncode == 1, ended
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr.strip()


# -- at a terminal -----------------------------------------------------------------------------------------------------


@at_a_terminal
def test_a_person_makes_a_model_and_a_task_and_sees_labels(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    with Terminal("shell", path, XDG_STATE_HOME=str(tmp_path)) as terminal:
        terminal.wait_for(".help", "distil>")
        terminal.type("CREATE MODEL labeller (TYPE llama_cpp,", ENTER)
        terminal.wait_for("..>")
        terminal.ask("path 'tiny', temperature 0);")
        terminal.type("CREATE LABELLER TASK town_score(instruction VARCHAR, response VARCHAR)", ENTER)
        terminal.type("RETURNS STRUCT(score INTEGER, reason VARCHAR)", ENTER)
        terminal.ask("PROMPT $$Instruction: {{ instruction }}; Answer: {{ response }}$$;")

        terminal.type("SELECT 'Paris' AS town, town_", TAB)
        terminal.wait_for("town_score(")  # the one function that begins so, and its bracket
        drawn = terminal.ask("'Name a town', 'Paris').score AS score;", "1/1 calls")
        box = [line for line in drawn.splitlines() if line.startswith(("┌", "│", "├", "└"))]
        assert box[0].startswith("┌─────────┬───────┐")
        assert box[1:3] == ["│  town   │ score │", "│ varchar │ int32 │"]
        assert box[4].startswith("│ Paris   │     ")

        terminal.ask(".mode csv")
        terminal.ask("SELECT 'Paris' AS town, town_score('Name a town', 'Paris').score IS NULL AS empty;", "town,empty")
        terminal.type("SELECT town_score('a', 'b', modle := 'x');", ENTER)
        terminal.wait_for("error: ", "has no argument 'modle'; did you mean 'model'?", "LINE 1:", "^", "\ndistil>")
        other = subprocess.run(
            [sys.executable, "-m", "distil_sql", "shell", str(path), "-c", "SELECT 1"], capture_output=True, text=True
        )
        assert (other.returncode, other.stdout) == (1, "")
        assert "in use by another process" in other.stderr
        assert Path(f"{path}.status.json").exists()
        watched = distil("status", "-d", path)
        assert (watched.returncode, watched.stdout.split("\n")[0]) == (0, "shell  waiting")
        terminal.type(".quit", ENTER)
        assert terminal.end() == 0
    assert not Path(f"{path}.status.json").exists()
    assert query(path, "SELECT task, status, count(*) FROM distil.calls GROUP BY ALL") == [("town_score", "ok", 1)]
    assert query(path, "SELECT script, state FROM distil.runs ORDER BY started_at") == [("shell", "done")] * 2


@at_a_terminal
def test_ctrl_c_stops_a_query_and_keeps_what_is_answered(fake_server: FakeServer, path: Path, tmp_path: Path) -> None:
    fake_server.configure(latency={"fixed_ms": 150})
    setting = model(fake_server, concurrency=5) + "CREATE TABLE t AS SELECT 'say ' || i AS x FROM range(80) r(i)"
    assert shown(path, "-c", setting) == ""
    asking = "SELECT count(text_generation(x)) AS answered FROM t;"
    with Terminal("shell", path, XDG_STATE_HOME=str(tmp_path)) as terminal:
        terminal.wait_for("\ndistil>")
        terminal.type(asking, ENTER)
        fake_server.wait_for(lambda stats: stats["answered"] >= 12)
        terminal.wait_for("█", "/80 calls")
        terminal.type(CTRL_C)
        drawn = terminal.wait_for("interrupted: ", " of 80 calls are answered and kept", "\ndistil>")
        kept = int(drawn.split("interrupted: ")[1].split(" of ")[0])
        assert 12 <= kept < 80
        terminal.ask("SELECT 'kept ' || count(*) AS calls FROM distil.calls;", f"kept {kept} ")
        fake_server.configure(latency=None)
        fake_server.reset()
        terminal.ask(asking, "80", f"{80 - kept}/{80 - kept} calls, {kept} from the ledger")
        assert fake_server.stats()["answered"] == 80 - kept

        terminal.type("half a statem", CTRL_C)
        terminal.wait_for("\ndistil>")
        terminal.type(CTRL_C)
        terminal.wait_for("Ctrl-D to leave", "\ndistil>")
        terminal.type(CTRL_D)
        assert terminal.end() == 0
    states = query(path, "SELECT state FROM distil.runs ORDER BY started_at")
    assert states == [("interrupted",), ("done",)]


@at_a_terminal
def test_what_was_typed_is_there_again_for_its_owner_alone(path: Path, tmp_path: Path) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with Terminal("shell", path, **state) as terminal:
        terminal.wait_for("\ndistil>")
        terminal.ask("CREATE SECRET hidden (TYPE s3, KEY_ID 'me', SECRET 'hush');")
        terminal.type("SELECT 40 + 2", ENTER)
        terminal.wait_for("..>")
        terminal.ask("AS remembered;", "42")
        terminal.ask("BEGIN;", prompt="distil*>")
        terminal.ask("CREATE TABLE t AS SELECT 'x' AS x;", prompt="distil*>")
        terminal.ask("SELECT x::INTEGER FROM t;", "error: Could not convert", prompt="distil!>")
        terminal.ask("COMMIT;", "had failed: it is rolled back")
        terminal.ask("BEGIN;", prompt="distil*>")
        terminal.type("exit", ENTER)
        terminal.wait_for("rolled back")
        assert terminal.end() == 0
    history = tmp_path / "state" / "distil-sql" / "history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert stat.S_IMODE(history.parent.stat().st_mode) == 0o700
    assert "hush" not in history.read_text()
    with Terminal("shell", path, **state) as terminal:
        terminal.wait_for("\ndistil>")
        terminal.type(*[UP] * 7, ENTER)  # exit, five of the transactions, and then all lines of the statement before
        terminal.wait_for("remembered", "42", "\ndistil>")
        terminal.process.terminate()
        assert terminal.end() == 143


@at_a_terminal
def test_what_may_hold_a_key_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distil_sql.shell.editor import _history, history_file

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    keys = [
        "CREATE MODEL m (TYPE openai, model 'm', api_key 'hush');",
        "SET s3_secret_access_key = 'hush';",
        "ATTACH 'md:?motherduck_token=hush';",
        "ATTACH 'postgres://me:hush@there/db' AS p (TYPE postgres);",
        "SELECT say('sk-hush-12345678');",
    ]
    plain = [
        "CREATE MODEL m (TYPE openai, model 'm', api_key_env 'MINE', max_tokens 64);",
        "SELECT input_tokens FROM t;",
    ]
    history = _history()
    for typed in keys + plain:
        history.append_string(typed)
    kept = history_file().read_text()
    assert "hush" not in kept
    assert all(typed in kept for typed in plain)


# -- in scripts --------------------------------------------------------------------------------------------------------


def test_csv_can_be_read_back(database: Path) -> None:
    rows = list(csv.reader(shown(database, "--mode", "csv", "-c", "FROM odd").splitlines(keepends=True)))
    assert rows[0] == ["id", "said", "price", "nested"]
    assert rows[1:] == [
        ["1", "plain", "1.50", "{'k': 1, 'l': [x]}"],
        ["2", 'a "quote", a | and\ntwo lines', "", ""],
        ["3", "", "0.00", "{'k': NULL, 'l': []}"],
        ["4", "漢字 😀", "-1.00", "{'k': 2, 'l': NULL}"],
    ]
    assert '3,"",0.00' in shown(database, "--mode", "csv", "-c", "FROM odd")  # an empty text is not a NULL


def test_json_has_the_types_of_the_values(database: Path) -> None:
    awkward = "SELECT *, 'nan'::DOUBLE AS nan, 1 AS id FROM odd ORDER BY odd.id"
    rows = json.loads(shown(database, "--mode", "json", "-c", awkward), object_pairs_hook=list)
    assert rows[0] == [
        ("id", 1), ("said", "plain"), ("price", 1.5), ("nested", [("k", 1), ("l", ["x"])]), ("nan", None), ("id", 1),
    ]  # fmt: skip
    lines = shown(database, "-c", ".mode jsonl", "-c", "FROM odd").splitlines()
    assert [json.loads(line)["nested"] for line in lines][1:3] == [None, {"k": None, "l": []}]
    assert json.loads(shown(database, "--mode", "json", "-c", "FROM odd WHERE id > 9")) == []


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("markdown", "| id | said | price |\n|--:|---|--:|\n| 2 | a \"quote\", a \\| and<br>two lines | NULL |\n"),
        ("line", "   id = 2\n said = a \"quote\", a | and\ntwo lines\nprice = NULL\n"),
        ("list", "id|said|price\n2|a \"quote\", a | and\ntwo lines|NULL\n"),
    ],
)  # fmt: skip
def test_every_other_mode(database: Path, mode: str, wanted: str) -> None:
    assert shown(database, "--mode", mode, "-c", "SELECT id, said, price FROM odd WHERE id = 2") == wanted


def test_boxes_are_those_of_duckdb(database: Path) -> None:
    box = shown(database, "-c", "SELECT range AS number, '漢字' AS wide FROM range(100)").splitlines()
    assert box[:4] == ["┌────────┬─────────┐", "│ number │  wide   │", "│ int64  │ varchar │", "├────────┼─────────┤"]
    assert box[4] == "│      0 │ 漢字    │"
    assert len([line for line in box if "·" in line]) == 3
    assert "100 rows" in box[-2]
    wide = "SELECT *, repeat('wide ', 99) AS text FROM odd, range(100)"
    assert len(shown(database, "-c", wide).splitlines()[0]) > 500  # no terminal, nothing cut
    few = shown(database, "-c", ".maxrows 4", "-c", ".maxwidth 80", "-c", wide)
    assert len(few.splitlines()[0]) <= 80
    assert "… │" in few
    assert "400 rows (4 shown)" in few
    plan = shown(database, "-c", "EXPLAIN FROM odd")
    assert "explain_key" not in plan
    assert "\n" in plan


def test_statements_and_commands_come_from_a_pipe_as_they_are_written(database: Path, tmp_path: Path) -> None:
    (tmp_path / "more.sql").write_text("-- not; yet\nSELECT $$a;\nb$$ AS \"c;d\";\n.mode list\nFROM 'data.csv';\n")
    (tmp_path / "data.csv").write_text("beside\n5\n")
    script = (
        ".mode csv\n\n/* a; comment */ SELECT 1 AS one; SELECT 2 AS two;\n"
        f".read '{tmp_path / 'more.sql'}'\nSET VARIABLE kept = 7;\n\nCREATE TEMP TABLE gone AS\n  SELECT\n3 AS x;\n"
        ".timer on\n.timer off;\nSELECT getvariable('kept') AS kept, x FROM gone"
    )
    command = [sys.executable, "-m", "distil_sql", "shell", str(database)]
    ended = subprocess.run(command, input=script, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == 'one\n1\ntwo\n2\nc;d\n"a;\nb"\nbeside\n5\nkept|x\n7|3\n'


KINDS = [
    ("CREATE TABLE k AS SELECT i AS a, i % 2 AS b FROM range(4) t(i)", []),
    ("CREATE SEQUENCE s", []),
    ("SELECT nextval('s') AS n", ["n", "1"]),
    ("SELECT nextval('s') AS n", ["n", "2"]),
    ("PIVOT (SELECT b FROM k) ON b USING count(*)", ["0,1", "2,2"]),
    ("DESCRIBE SELECT 1 AS q", ["column_name,column_type,null,key,default,extra", "q,INTEGER,YES,,,"]),
    ("PREPARE p AS SELECT $1 + 1 AS x", []),
    ("EXECUTE p(41)", ["x", "42"]),
    ("SET VARIABLE kept = 7", []),
    ("SELECT getvariable('kept') AS kept", ["kept", "7"]),
    ("ATTACH ':memory:' AS mem", []),
    ("CREATE TABLE mem.x AS SELECT 1 AS one", []),
    ("FROM mem.x", ["one", "1"]),
    ("CREATE MACRO plus(a, b := 1) AS a + b", []),
    ("SELECT plus(1) AS two", ["two", "2"]),
    ("WITH n AS (SELECT 9 AS a, 9 AS b) INSERT INTO k SELECT * FROM n", []),
    ("INSERT INTO k VALUES (10, 10) RETURNING a", ["a", "10"]),
    ("DELETE FROM k WHERE a > 9 RETURNING *", ["a,b", "10,10"]),
    ("UPDATE k SET b = 0 WHERE a = 9", []),
    ("SELECT count(*) AS n, min(b) AS b FROM k", ["n,b", "5,0"]),
    ("(VALUES (1, 'x'))", ["col0,col1", "1,x"]),
    ("SELECT 1 AS Count, true AS Success", ["Count,Success", "1,true"]),
    ("SELECT true AS Success", ["Success", "true"]),
    ("COMMENT ON TABLE k IS 'x'", []),
    ("DROP TABLE k", []),
]


def test_statements_of_every_kind_show_their_rows_once(path: Path) -> None:
    ended = distil("shell", path, "--mode", "csv", "-c", ";\n".join(statement for statement, _ in KINDS))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [line for _, shown in KINDS for line in shown]


def test_tasks_are_loaded_inside_a_transaction(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "greet.sql").write_text("CREATE GENERATOR TASK greet(who VARCHAR) PROMPT 'Greet {{ who }}';")
    script = f"BEGIN; LOAD TASKS '{folder}'; {{}}; SELECT count(*) AS n FROM distil.tasks WHERE name = 'greet';"
    assert shown(path, "--mode", "csv", "-c", script.format("ROLLBACK")) == "n\n0\n"
    assert shown(path, "--mode", "csv", "-c", script.format("COMMIT")) == "n\n1\n"


def test_a_view_that_hides_a_task_is_answered(fake_server: FakeServer, path: Path) -> None:
    view = "CREATE VIEW v AS SELECT text_generation('say ' || text_generation('first')) LIKE '%first%' AS nested"
    ended = shown(path, "--mode", "csv", "-c", model(fake_server), "-c", f"{view}; FROM v; FROM v")
    assert ended == "nested\ntrue\n" * 2
    assert fake_server.stats()["answered"] == 2


def test_the_first_error_ends_a_script_and_names_its_line(database: Path) -> None:
    script = "SELECT 1 AS one;\n\n-- here\nSELECT\n  nothing FROM odd;\nSELECT 2;\n"
    command = [sys.executable, "-m", "distil_sql", "shell", str(database), "--mode", "csv"]
    ended = subprocess.run(command, input=script, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "one\n1\n")
    assert ended.stderr.startswith('error: <stdin>:5:3: Referenced column "nothing" not found')
    assert ended.stderr.count("\n") == 1
    bytes_in = subprocess.run(command, input=b"\xef\xbb\xbfSELECT 1 AS one;\nSELECT '\xff';\n", capture_output=True)
    assert (bytes_in.returncode, bytes_in.stdout) == (1, b"one\n1\n")
    assert bytes_in.stderr == b"error: <stdin>:2: this line is not UTF-8 text\n"


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("SELECT 1 FROM od", '<-c>:1:15: Table with name od does not exist; Did you mean "odd?"'),
        ("SELECT\n juge('a', 'b')", "<-c>:2:2: there is no task or function 'juge'; did you mean 'judge'?"),
        ("SELECT judge('a', 'b')", "task 'judge' has no model: CREATE MODEL labeller (TYPE …)"),
        ("SELECT 'abc", "<-c>:1:8: this string is never closed: add the missing quote"),
        ("CREATE MODEL x (TYPE opnai)", "did you mean 'openai'?"),
        ("COMMIT;", "no transaction is active"),
        (".foo", "<-c>:1: there is no command '.foo': .help lists them"),
        (".tabels", "there is no command '.tabels'; did you mean '.tables'?"),
        (".t", "is it .tables or .tasks or .timer?"),
        (".mode cvs", "there is no mode 'cvs'; did you mean 'csv'?"),
        (".maxrows many", "'many' is no number"),
        (".read", "write it as .read FILE"),
        (".read none.sql", "there is no script none.sql"),
        (".tasks juge", "there is no task 'juge'; did you mean 'judge'?"),
        (".schema od", "there is no table, view or task 'od'; did you mean 'odd'?"),
        (".open nowhere/x.duckdb", "nowhere/x.duckdb cannot be created: its folder does not exist"),
        (".read 'x", "a quote is never closed"),
    ],
)
def test_what_is_typed_wrong_is_told_in_one_sentence(database: Path, command: str, wanted: str) -> None:
    said = failed(database, "-c", command)
    assert said.startswith("error: ")
    assert wanted.replace('"odd?"', '"odd"?') in said


def test_a_file_that_reads_itself_is_told(database: Path, tmp_path: Path) -> None:
    script = tmp_path / "again.sql"
    script.write_text(f".read {script}\n")
    assert failed(database, "-f", str(script)).endswith(f"{script} reads itself")
    assert failed(database, "-c", f".read {tmp_path}").endswith(f"{tmp_path} is a folder: .run runs it as a pipeline")


def test_a_reader_that_has_seen_enough_is_no_error(database: Path) -> None:
    many = [sys.executable, "-m", "distil_sql", "shell", str(database), "--mode", "csv", "-c", "FROM range(300_000)"]
    with subprocess.Popen(many, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"range\n"
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_database_that_cannot_be_opened_and_options_that_cannot_be(tmp_path: Path) -> None:
    assert failed(tmp_path / "no" / "x.duckdb", "-c", "SELECT 1").endswith("its folder does not exist")
    both = distil("shell", tmp_path / "x.duckdb", "-d", tmp_path / "y.duckdb")
    assert both.returncode == 2
    wrong = distil("shell", tmp_path / "x.duckdb", "--mode", "boxes")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert not list(tmp_path.iterdir())


def test_dot_commands_show_what_is_there(database: Path, tmp_path: Path) -> None:
    tables = shown(database, "--mode", "list", "-c", ".tables").splitlines()
    assert tables[:3] == ["name|type|columns|rows", "dear|view|4|NULL", "odd|table|4|4"]
    assert all(line.startswith("distil.") for line in tables[3:])
    assert shown(database, "--mode", "list", "-c", ".tables ODD").splitlines()[1:] == ["odd|table|4|4"]
    assert shown(database, "-c", ".schema dear").startswith("CREATE VIEW dear")
    assert "judge(instruction VARCHAR" in shown(database, "-c", ".tasks judge")
    assert "judge" in shown(database, "-c", ".tasks")
    assert distil("shell", database, "-c", ".models").stderr.startswith("no models yet")
    assert all(f".{name}" in shown(database, "-c", ".help") for name in ("mode", "run", "read", "status", "quit"))
    other = tmp_path / "other.duckdb"
    assert shown(database, "-c", f".open {other}", "-c", "CREATE TABLE here AS SELECT 1 AS x") == ""
    assert query(other, "FROM here") == [(1,)]
    assert shown(database, "-c", "SELECT 1 AS x;\n.quit\nSELECT nothing", "--mode", "csv") == "x\n1\n"


def test_a_model_tried_in_the_shell_costs_a_pipeline_nothing(fake_server: FakeServer, path: Path) -> None:
    script = path.with_name("p.sql")
    setting = model(fake_server, price_in=1) + "CREATE OR REPLACE TABLE t AS SELECT i AS x FROM range(30) r(i);"
    asking = "SELECT x, text_generation('say ' || x) AS said FROM t"
    script.write_text(f"{setting}\nCREATE OR REPLACE TABLE out AS {asking};\n")
    tried = shown(path, "-c", setting, "--mode", "csv", "-c", f"{asking} LIMIT 20")
    assert fake_server.stats()["answered"] == 20
    piped = distil("shell", path, "--mode", "list", "-c", f".run {script}", "-c", ".status")
    assert piped.returncode == 0, piped.stderr
    assert fake_server.stats()["answered"] == 30
    assert piped.stdout.splitlines()[-1].split("|")[1:7] == ["out", "done", "10", "10", "0", "20"]
    assert shown(path, "--mode", "csv", "-c", "FROM out LIMIT 20") == tried
    assert query(path, "SELECT DISTINCT state FROM distil.runs") == [("done",)]


def test_a_limit_holds_for_the_session(fake_server: FakeServer, path: Path) -> None:
    asking = "SELECT count(text_generation('say ' || i)) AS n FROM range({}) r(i)"
    shown(path, "-c", model(fake_server), "-c", asking.format(3))
    said = failed(path, "--max-calls", "5", "-c", asking.format(8), "-c", asking.format(9))
    assert "--max-calls 5" in said
    assert fake_server.stats()["answered"] == 8  # three of them by the first shell


def test_transactions_hold_and_failures_are_rows(fake_server: FakeServer, path: Path) -> None:
    fake_server.configure(faults=[{"kind": "400", "match": "say 3"}])
    setting = model(fake_server) + "CREATE TABLE t AS SELECT 'say ' || i AS x FROM range(5) r(i);"
    made = "CREATE TABLE out AS SELECT x, text_generation(x) AS y FROM t;"
    counted = "SELECT count(y) AS n FROM out;"
    ended = distil("shell", path, "--mode", "csv", "-c", f"{setting} BEGIN; {made} {counted} ROLLBACK")
    assert (ended.returncode, ended.stdout) == (0, "n\n4\n")
    assert "1 calls failed and are NULL" in ended.stderr
    left: Ended = distil("shell", path, "-c", f"BEGIN; {made} DROP TABLE t; SELECT nothing FROM out;")
    assert left.returncode == 1
    assert "rolled back" in left.stderr
    assert query(path, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main'") == [("t",)]
    assert query(path, "SELECT count(*) FROM distil.calls") == [(5,)]
    in_one = "BEGIN; CREATE LABELLER TASK mine(x VARCHAR) PROMPT $${{ x }}$$; ROLLBACK"
    assert shown(path, "-c", in_one) == ""
    assert "there is no task 'mine'" in failed(path, "-c", in_one, "-c", "DROP TASK mine")


# -- the pieces --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT 1; -- done", True),
        ("SELECT 1; SELECT", False),
        ("SELECT ';", False),
        ("SELECT $$;$$", False),
        ("SELECT $x$ $$;", False),
        ("SELECT /* ; ", False),
        ('SELECT ";"', False),
        ("-- a remark;", True),
        ("", True),
    ],
)
def test_a_statement_ends_with_a_semicolon_that_is_one(typed: str, whole: bool) -> None:
    assert is_whole(typed) is whole


def test_places_count_from_the_first_line_of_the_whole() -> None:
    read_off = list(read(["SELECT 1;\n", ".mode csv\n", "\n", "SELECT\n", ".5 AS x;\n"], "f"))
    assert [item.text for item in read_off] == ["SELECT 1;\n", ".mode csv", "\n\n\nSELECT\n.5 AS x;\n"]
    assert isinstance(read_off[1], Dot)
    assert read_off[1].place == "f:2: "


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """What there is to complete in a database with two tables and two models."""
    made = "CREATE MODEL gpt (TYPE openai, model 'm'); CREATE MODEL grader (TYPE openai, model 'm')"
    session = Session.open(tmp_path_factory.mktemp("catalog") / "x.duckdb")
    con = session.cursor()
    con.execute('CREATE TABLE prompts(id INTEGER, instruction VARCHAR, "odd name" VARCHAR)')
    con.execute("CREATE TABLE graded(id INTEGER, verdict STRUCT(score INTEGER, reason VARCHAR))")
    for statement in read_script(Source(made)):
        apply_ddl(statement, session.registry, con)
    found = Catalog.read(con, session.registry)
    con.close()
    session.close()
    return found


@pytest.mark.parametrize(
    ("before", "after", "first", "never"),
    [
        ("SELECT * FROM pro", "", ["prompts"], "PROMPT"),
        ("SELECT * FROM ", "", ["graded", "prompts"], "id"),
        ("SELECT inst", " FROM prompts", ["instruction", "instruction_backtranslation(", "install"], ""),
        ("SELECT p.", " FROM prompts p", ["id", "instruction", '"odd name"'], "verdict"),
        ("SELECT verdict.", " FROM graded", ["score", "reason"], "id"),
        ("FROM distil.ca", "", ["calls"], "cast"),
        ("select jud", "", ["judge(", "judgelm("], ""),
        ("select judge", "", ["judge(", "judge_n(", "judge_details(", "judge_prompt(", "judgelm("], ""),
        ("SELECT judge(instruction, re", "", ["response := "], "instruction := "),
        ("SELECT judge(instruction := 'a', ", "", ["response := ", "criteria := ", "model := "], "instruction := "),
        ("SELECT judge(instruction, mod", "", ["model := "], "model"),
        ("SELECT judge_n('a', model := ", "", ["'gpt'", "'grader'"], "judge("),
        ("SELECT judge('a', model := 'g", "", ["gpt'", "grader'"], ""),
        ("SELECT judge_prompt('a', format := 'llama", "", ["llama2'", "llama3'"], ""),
        ("DROP MODEL gr", "", ["grader"], ""),
        ("SELECT 1; sel", "", ["select"], ""),
        ("SEL", "", ["SELECT"], ""),
        ("SELECT lower", "", ["lower("], ""),
        ("SELECT $$pro", "", [], ""),
    ],
)  # fmt: skip
def test_tab_offers_what_fits(catalog: Catalog, before: str, after: str, first: list[str], never: str) -> None:
    texts = [found.text for found in suggest(before, catalog, after)]
    assert texts[: len(first)] == first
    assert bool(texts) is bool(first)
    assert not never or never not in texts


def test_tab_offers_files_within_quotes(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.csv").touch()
    monkeypatch.chdir(tmp_path)
    assert [found.text for found in suggest("FROM 'da", catalog)] == ["data/"]
    assert [found.text for found in suggest(f"FROM 'data{os.sep}r", catalog)] == ["rows.csv"]
