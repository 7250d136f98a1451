"""CREATE and DROP of models and tasks: what a script may say, what it means, and what is said about what it may not."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

import distil_sql
from distil_sql.errors import ScriptError
from distil_sql.script import CreateModel, CreateTask, Drop, Source, Statement, read_script
from distil_sql.task import Argument, Task


def read(text: str) -> Statement:
    (statement,) = read_script(Source(text, "f.sql"))
    return statement


def model(text: str) -> dict[str, object]:
    statement = read(text)
    assert isinstance(statement, CreateModel)
    return dict(statement.options)


def task(text: str) -> Task:
    statement = read(text)
    assert isinstance(statement, CreateTask)
    return statement.task


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    """One connection for all: opening one writes the whole task library."""
    return distil_sql.connect()


def refused(text: str, con: duckdb.DuckDBPyConnection) -> str:
    with pytest.raises(ScriptError) as raised:
        distil_sql.run(text + ";", con)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x 'it''s'", "it's"),
        ("x $$a 'b'$$", "a 'b'"),
        (r"x E'a\nb'", "a\nb"),
        ("x = 3", 3),
        ("x := -0.5", -0.5),
        ("x 1e3", 1000.0),
        ("x 1_000", 1000),
        ("x 0xFF", 255),
        ("x TRUE", True),
        ("x false", False),
        ("x NULL", None),
        ("x word", "word"),
        ('x "Quoted Word"', "Quoted Word"),
        ("x ['a', b, 3, [true]]", ["a", "b", 3, [True]]),
        ("x []", []),
        ("x {'a b': 1, c: {d: [2]}, \"e\": -3}", {"a b": 1, "c": {"d": [2]}, "e": -3}),
        ("X 1", 1),
        ('"x" 1', 1),
    ],
)
def test_an_option_takes_any_literal(text: str, value: object) -> None:
    assert model(f"CREATE MODEL m ({text})") == {"x": value}


def test_options_are_separated_by_commas_and_comments_do_not_matter() -> None:
    text = "create model m ( -- the type\n type openai, /* , */ model 'a,b'\n, temperature 0 )"
    assert model(text) == {"type": "openai", "model": "a,b", "temperature": 0}


@pytest.mark.parametrize(
    ("text", "replace", "if_not_exists"),
    [
        ("CREATE MODEL m (TYPE openai)", False, False),
        ("CREATE OR REPLACE MODEL m (TYPE openai)", True, False),
        ("create model if not exists m (TYPE openai)", False, True),
    ],
)
def test_the_ways_to_create_a_model(text: str, replace: bool, if_not_exists: bool) -> None:
    statement = read(text)
    assert isinstance(statement, CreateModel)
    assert (statement.name, statement.replace, statement.if_not_exists) == ("m", replace, if_not_exists)


CLAUSES = {
    "returns": "RETURNS STRUCT(a INTEGER, b ENUM('x','y')[])",
    "system": "SYSTEM $$You help.$$",
    "prompt": "PROMPT 'Say {{ topic }}''s name'",
    "parse": "PARSE $$ {'a': 1, 'b': []} $$",
    "model": 'MODEL "Big One"',
    "with": "WITH (max_tokens 256, reask 2, stop ['\\n', 'END'])",
}


@pytest.mark.parametrize("first", list(CLAUSES))
def test_clauses_come_in_any_order(first: str) -> None:
    rest = [text for name, text in CLAUSES.items() if name != first][::-1]
    found = task(f"CREATE LABELLER TASK t(topic VARCHAR) {CLAUSES[first]} {' '.join(rest)}")
    assert found == Task(
        name="t",
        kind="labeller",
        arguments=(Argument("topic", "VARCHAR"),),
        returns="STRUCT(a INTEGER, b ENUM('x','y')[])",
        system="You help.",
        prompt="Say {{ topic }}'s name",
        parse=" {'a': 1, 'b': []} ",
        model="Big One",
        options={"max_tokens": 256, "reask": 2, "stop": ["\\n", "END"]},
    )


def test_a_task_needs_no_more_than_a_prompt() -> None:
    found = task("CREATE OR REPLACE GENERATOR TASK t() PROMPT 'Say something'")
    assert found == Task("t", "generator", (), "VARCHAR", "Say something")


def test_labeler_is_another_spelling() -> None:
    assert task("CREATE LABELER TASK t(x VARCHAR) PROMPT '{{ x }}'").kind == "labeller"


@pytest.mark.parametrize(
    "returns",
    [
        "INTEGER",
        "DECIMAL(10, 2)",
        "TIMESTAMP WITH TIME ZONE",
        "MAP(VARCHAR, STRUCT(n INTEGER, moment TIMESTAMP WITH TIME ZONE))",
        "STRUCT(prompt VARCHAR, \"with\" ENUM('a (b', 'c, d'), model INTEGER[3])",
        "ENUM('yes', 'no', 'it''s')",
        "DOUBLE[][]",
        "JSON",
    ],
)
@pytest.mark.parametrize("after", [" PROMPT 'p' WITH (reask 0)", " WITH (reask 0) PROMPT 'p'", " -- that\nPROMPT 'p'"])
def test_returns_takes_any_type_and_ends_where_the_next_clause_starts(returns: str, after: str) -> None:
    assert task(f"CREATE GENERATOR TASK t() RETURNS {returns}{after}").returns == returns


def test_arguments_have_types_and_defaults() -> None:
    text = 'CREATE GENERATOR TASK t(a STRUCT(x INTEGER, y VARCHAR[]), "b c" TIMESTAMP WITH TIME ZONE, d DOUBLE DEFAULT'
    found = task(text + " -1.5, e VARCHAR := concat('x', 'y, z'), f INTEGER[] DEFAULT [1, 2]) PROMPT 'p'")
    assert found.arguments == (
        Argument("a", "STRUCT(x INTEGER, y VARCHAR[])"),
        Argument("b c", "TIMESTAMP WITH TIME ZONE"),
        Argument("d", "DOUBLE", "-1.5"),
        Argument("e", "VARCHAR", "concat('x', 'y, z')"),
        Argument("f", "INTEGER[]", "[1, 2]"),
    )


@pytest.mark.parametrize(
    ("text", "what", "if_exists"),
    [("DROP MODEL m", "model", False), ("drop task if exists m", "task", True), ('DROP TASK "m"', "task", False)],
)
def test_drops(text: str, what: str, if_exists: bool) -> None:
    statement = read(text)
    assert isinstance(statement, Drop)
    assert (statement.what, statement.name, statement.if_exists) == (what, "m", if_exists)


OK = "CREATE GENERATOR TASK t(x VARCHAR) "


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("CREATE MODEL m", "<script>:1:15: expected a model's options"),
        ("CREATE MODEL (TYPE openai)", "<script>:1:14: expected the model's name"),
        ("CREATE MODEL m (TYPE openai) x", "<script>:1:30: unexpected 'x'"),
        ("CREATE MODEL m (TYPE openai, TYPE pool)", "<script>:1:30: option 'type' is given twice"),
        ("CREATE MODEL m (TYPE)", "<script>:1:17: option 'type' has no value"),
        ("CREATE MODEL m (TYPE openai model 'x')", "<script>:1:29: expected one value, not \"openai model 'x'\""),
        ("CREATE MODEL m (TYPE openai, model 0x_)", "<script>:1:36: 0x_ is no number"),
        (
            "CREATE MODEL m (TYPE openai, model 'x', temprature 0)",
            "unknown option 'temprature' for TYPE openai; did you",
        ),
        ("CREATE MODEL m (TYPE openai, model 'x', temperature 11)", "takes a number from 0 to 10, not 11"),
        ("CREATE MODEL m (TYPE openai, model 'x', path 'y')", "unknown option 'path' for TYPE openai"),
        ("CREATE MODEL m (TYPE opnai, model 'x')", "not 'opnai'; did you mean 'openai'?"),
        ("CREATE MODEL m (model 'x')", "TYPE is one of openai, llama_cpp, pool, and none is given"),
        ("CREATE MODEL m (TYPE openai, model 'x', api_key 'sk')", "keys never stand in a script"),
        ("CREATE MODEL m (TYPE pool, models ['nope'])", "there is no model 'nope'"),
        (OK, "task 't' has no PROMPT"),
        (OK + "PROMPT 'a' PROMPT 'b'", "<script>:1:47: PROMPT is given twice"),
        (OK + "PROMTP 'a'", "<script>:1:36: expected one of RETURNS, SYSTEM, PROMPT"),
        (OK + "PROMPT a", "<script>:1:43: expected text after PROMPT"),
        (OK + "RETURNS PROMPT 'a'", "has no PROMPT"),
        (OK + "PROMPT 'a' RETURNS", "expected a type after RETURNS"),
        (OK + "PROMPT 'a' WITH (max_token 3)", "unknown option 'max_token'; did you mean 'max_tokens'?"),
        (OK + "PROMPT 'a' WITH (reask 11)", "option 'reask' takes a number from 0 to 10"),
        (OK + "PROMPT $$\n {{ y }}$$", "<script>:2:5: task 't': the prompt uses 'y'"),
        (
            OK + "PROMPT 'a' SYSTEM '{{ X }}'",
            "the system uses 'X', which is no argument of the task; did you mean 'x'?",
        ),
        (OK + "PROMPT '{{ x'", "task 't': the prompt template does not parse"),
        (OK + "PROMPT 'a' RETURNS nonsense", "<script>:1:55: task 't': RETURNS nonsense is no DuckDB type"),
        (OK + "PROMPT 'a' PARSE $$ nofunc(response) $$", "task 't': its PARSE is not valid"),
        (OK + "PROMPT 'a' PARSE $$ response) + (1 $$", "task 't': its PARSE is not valid"),
        (OK + "PROMPT 'a' PARSE $$ max(response) $$", "task 't': its PARSE is not valid"),
        ("CREATE GENERATOR TASK t(x) PROMPT 'a'", "<script>:1:25: an argument is a name and a type"),
        ("CREATE GENERATOR TASK t(x VARCHR) PROMPT 'a'", "<script>:1:25: argument 'x' VARCHR"),
        ("CREATE GENERATOR TASK t(x INTEGER DEFAULT 'a') PROMPT 'a'", "argument 'x' INTEGER"),
        ("CREATE GENERATOR TASK t(x INTEGER DEFAULT) PROMPT 'a'", "expected a value after DEFAULT"),
        ("CREATE GENERATOR TASK t(x INTEGER DEFAULT 1, y INTEGER) PROMPT 'a'", "'x' has a default, so those after it"),
        ("CREATE GENERATOR TASK t(x INTEGER, X INTEGER) PROMPT 'a'", "argument 'x' is given twice"),
        ("CREATE GENERATOR TASK t(model VARCHAR) PROMPT 'a'", "an argument cannot be called 'model'"),
        ("CREATE GENERATOR TASK t(x VARCHAR PROMPT 'a'", "<script>:1:24: this bracket is never closed"),
        ("CREATE GENERATOR TASK lower(x VARCHAR) PROMPT 'a'", "<script>:1:23: there is a function 'lower' of DuckDB"),
        ("CREATE TASK t(x VARCHAR) PROMPT 'a'", "<script>:1:8: say which kind of task this is"),
        ("DROP TASK nope", "<script>:1:11: there is no task 'nope' to drop"),
        ("DROP TASK judg", "did you mean 'judge'?"),
    ],
)
def test_what_cannot_be_is_one_sentence_with_a_place(text: str, sentence: str, con: duckdb.DuckDBPyConnection) -> None:
    said = refused(text, con)
    assert sentence in said
    assert said.startswith("<script>:")


def rows(con: duckdb.DuckDBPyConnection, query: str) -> list[Any]:
    return con.execute(query).fetchall()


def test_models_are_rows_with_a_version_that_grows_when_something_changes(con: duckdb.DuckDBPyConnection) -> None:
    text = "CREATE {} m (TYPE openai, model 'x', temperature {});"
    for verb, temperature in [
        ("MODEL", 0),
        ("OR REPLACE MODEL", 0),
        ("OR REPLACE MODEL", 1),
        ("MODEL IF NOT EXISTS", 2),
    ]:
        distil_sql.run(text.format(verb, temperature), con)
    query = "SELECT name, type, options->>'temperature', version FROM distil.models"
    assert rows(con, query) == [("m", "openai", "1", 2)]
    with pytest.raises(ScriptError, match="model 'm' exists: say CREATE OR REPLACE MODEL, or IF NOT EXISTS"):
        distil_sql.run(text.format("MODEL", 3), con)
    distil_sql.run("DROP MODEL m; DROP MODEL IF EXISTS m;", con)
    assert rows(con, query) == []


def test_tasks_are_rows_and_functions_and_a_replaced_one_has_the_next_version(con: duckdb.DuckDBPyConnection) -> None:
    text = "CREATE {} t(x VARCHAR) PROMPT 'Say {{{{ x }}}}{}';"
    for verb, end in [
        ("GENERATOR TASK", ""),
        ("OR REPLACE GENERATOR TASK", ""),
        ("OR REPLACE LABELLER TASK", "!"),
        ("GENERATOR TASK IF NOT EXISTS", "?"),
    ]:
        distil_sql.run(text.format(verb, end), con)
    query = "SELECT name, version, kind, prompt FROM distil.tasks WHERE name = 't'"
    assert rows(con, query) == [("t", 2, "labeller", "Say {{ x }}!")]
    assert "Say a!" in rows(con, "SELECT t_prompt('a')")[0][0]
    with pytest.raises(ScriptError, match="task 't' exists"):
        distil_sql.run(text.format("GENERATOR TASK", ""), con)
    distil_sql.run("DROP TASK t; DROP TASK IF EXISTS t;", con)
    assert rows(con, query) == []
    with pytest.raises(duckdb.CatalogException):
        con.execute("SELECT t_prompt('a')")


def test_a_task_of_the_library_may_be_made_ones_own(con: duckdb.DuckDBPyConnection) -> None:
    assert rows(con, "SELECT origin FROM distil.tasks WHERE name = 'judge'") == [("built-in",)]
    distil_sql.run("CREATE LABELLER TASK judge(x VARCHAR) PROMPT 'Mine: {{ x }}'", con)
    assert "Mine: a" in rows(con, "SELECT judge_prompt('a')")[0][0]


def test_a_task_whose_functions_would_be_anothers_is_refused(con: duckdb.DuckDBPyConnection) -> None:
    distil_sql.run("CREATE GENERATOR TASK own(x VARCHAR) PROMPT '{{ x }}'", con)
    with pytest.raises(ScriptError, match="'own_n' is already a function of task 'own'"):
        distil_sql.run("CREATE GENERATOR TASK own_n(x VARCHAR) PROMPT '{{ x }}'", con)


def test_a_pool_holds_models_that_are_no_pools_nor_itself(con: duckdb.DuckDBPyConnection) -> None:
    distil_sql.run("CREATE MODEL a (TYPE openai, model 'x'); CREATE MODEL p (TYPE pool, models [a])", con)
    for script in (
        "CREATE MODEL q (TYPE pool, models [a, p])",
        "CREATE OR REPLACE MODEL a (TYPE pool, models ['a'])",
    ):
        with pytest.raises(ScriptError, match="cannot hold another pool"):
            distil_sql.run(script, con)
