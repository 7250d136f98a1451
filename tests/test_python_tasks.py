"""`@distil_sql.task`: a prompt and a parse function in Python are a task like any other."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

import distil_sql
from distil_sql.errors import DistilError, OptionError
from tests.command import distil, model
from tests.fake_server import FakeServer

_numbers = itertools.count()


@distil_sql.task(kind="labeller", returns="STRUCT(score INTEGER, length INTEGER)", max_tokens=9, reask=1)
def grade(instruction: str, response: str, scale: int = 5) -> str:
    return f"Grade from 1 to {scale}: {instruction} / {response}"


@grade.parse
def _(text: str, response: str) -> dict[str, int]:
    if not text.startswith("score "):
        raise ValueError("it does not begin with 'score'")
    return {"score": int(text.removeprefix("score ")), "length": len(response)}


@distil_sql.task
def chat(topic: str | None, style: str = "brief") -> list[dict[str, str]]:
    if topic == "forbidden":
        raise RuntimeError("no")
    return [{"role": "system", "content": style}, {"role": "user", "content": f"About {topic}"}]


@pytest.fixture(scope="module")
def shared() -> duckdb.DuckDBPyConnection:
    con = distil_sql.connect()
    distil_sql.register_task(con, grade)
    distil_sql.register_task(con, chat)
    return con


@pytest.fixture
def con(shared: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> duckdb.DuckDBPyConnection:
    """The shared connection with models of this test's own."""
    shared.execute("DELETE FROM distil.calls")
    kinds = ("generator", "labeller")
    distil_sql.run("".join(model(fake_server, kind, model=f"'m{next(_numbers)}'") for kind in kinds), shared)
    return shared


def one(con: duckdb.DuckDBPyConnection, query: str) -> Any:
    return con.execute(query).fetchall()[0][0]


def replies(server: FakeServer, **texts: Any) -> None:
    listed = [{"match": k, "replies": v if isinstance(v, list) else [v]} for k, v in texts.items()]
    server.configure(scripts=listed)


def test_it_gives_a_typed_value_and_the_four_functions(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    replies(fake_server, Grade="score 4")
    assert one(con, "SELECT grade('a', 'four')") == {"score": 4, "length": 4}
    assert one(con, "SELECT typeof(grade('a', 'b'))") == "STRUCT(score INTEGER, length INTEGER)"
    assert one(con, "SELECT grade_n('a', 'four', n := 2)") == [{"score": 4, "length": 4}] * 2
    details = one(con, "SELECT grade_details('a', 'four')")
    assert (details["value"], details["response"], details["status"]) == ({"score": 4, "length": 4}, "score 4", "ok")
    prompt = json.loads(one(con, "SELECT grade_prompt('a', 'b', scale := 7)"))
    assert prompt == [{"role": "user", "content": "Grade from 1 to 7: a / b"}]
    assert grade("a", "b") == "Grade from 1 to 5: a / b"


def test_a_run_and_the_ledger_know_it(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    replies(fake_server, Grade="score 3")
    script = "CREATE OR REPLACE TABLE v AS SELECT i, grade('q', repeat('x', i)).length AS n FROM range(30) r(i)"
    for _ in range(2):
        distil_sql.run(script, con)
        assert con.execute("SELECT count(*) FROM v WHERE n = i").fetchall() == [(30,)]
    assert fake_server.stats()["requests"] == 30
    calls = con.execute("SELECT DISTINCT task, status FROM distil.calls").fetchall()
    assert calls == [("grade", "ok")]
    assert one(con, "SELECT grade('q', 'x').score") == 3


def test_an_answer_that_cannot_be_parsed_is_asked_again_and_then_null(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    replies(fake_server, cannot="score 5", fine="no")
    assert one(con, "SELECT grade('fine', 'x').score") == 5  # the follow-up says "That answer cannot be used"
    assert fake_server.stats()["requests"] == 2
    fake_server.configure(scripts=[{"replies": ["score ?"]}])
    details = one(con, "SELECT grade_details('bad', 'x')")
    assert (details["value"], details["status"], details["error_kind"]) == (None, "error", "unparsable")
    assert "invalid literal for int()" in details["error"]
    assert one(con, "SELECT grade('bad', 'x')") is None
    assert fake_server.stats()["requests"] == 4


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (lambda: {}["x"], "KeyError: 'x'"),
        (lambda: None, "gave None"),
        (lambda: {"score": "many", "length": 1}, 'should be an integer, not "many"'),
        (lambda: {"score": 1}, 'has no "length"'),
        (lambda: "text", "should be an object"),
        (lambda: object(), "should be an object"),
    ],
)
def test_whatever_parse_does_is_its_rows_reason_alone(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer, found: Any, reason: str
) -> None:
    @distil_sql.task(kind="labeller", returns="STRUCT(score INTEGER, length INTEGER)", reask=0)
    def odd(x: str) -> str:
        return f"Odd {x}"

    @odd.parse
    def _(text: str, x: str) -> Any:
        return found() if x == "bad" else {"score": 1, "length": 2}

    distil_sql.register_task(con, odd)
    rows = con.execute("SELECT d.value.score, d.error FROM (SELECT odd_details(unnest(['a', 'bad', 'b'])) AS d)")
    scores, errors = zip(*rows.fetchall(), strict=True)
    assert scores == (1, None, 1)
    assert errors[0] is errors[2] is None
    assert reason in errors[1]


def test_arguments_that_are_not_in_the_prompt_are_read_row_by_row(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    @distil_sql.task(returns="VARCHAR")
    def tagged(tag: str) -> str:
        return "The same"

    @tagged.parse
    def _(answer: str, **arguments: Any) -> str:
        return f"{arguments['tag']}: {answer}"

    replies(fake_server, same="yes")
    distil_sql.register_task(con, tagged)
    assert con.execute("SELECT tagged(unnest(['a', 'b']))").fetchall() == [("a: yes",), ("b: yes",)]
    assert fake_server.stats()["requests"] == 1


def test_a_list_of_messages_is_a_chat(con: duckdb.DuckDBPyConnection) -> None:
    assert json.loads(one(con, "SELECT chat_prompt('a')")) == [
        {"role": "system", "content": "brief"},
        {"role": "user", "content": "About a"},
    ]
    assert one(con, "SELECT chat('a')").startswith("echo: About a")
    assert one(con, "SELECT chat(NULL)") is None
    details = one(con, "SELECT chat_details('forbidden')")
    assert (details["value"], details["error"]) == (None, "the task's function raised RuntimeError: no")


@pytest.mark.parametrize("prompt", [None, 3, [None], ["text"], [{"role": "user"}], [{"role": "x", "content": "a"}]])
def test_a_prompt_that_cannot_be_sent_asks_nothing(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer, prompt: Any
) -> None:
    @distil_sql.task
    def broken(x: str) -> Any:
        return prompt

    distil_sql.register_task(con, broken)
    details = one(con, "SELECT broken_details('a')")
    assert details["value"] is None
    assert details["error"]
    assert fake_server.stats()["requests"] == 0


def test_without_a_parse_function_the_type_is_asked_for_as_json(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    @distil_sql.task(kind="labeller", returns="STRUCT(good BOOLEAN)")
    def plain(x: str) -> str:
        return f"Plain {x}"

    distil_sql.register_task(con, plain)
    assert one(con, "SELECT plain('a').good") in (True, False)
    assert (
        json.loads(one(con, "SELECT plain_prompt('a')"))[0]["content"]
        == 'Answer with JSON only: {"good": true | false}'
    )


def test_annotations_become_types_and_defaults_sql() -> None:
    @distil_sql.task(arguments={"weight": "DECIMAL(4, 1)"}, name="typed", model="m")
    def function(
        weight: object,
        names: list[str],
        counts: dict[str, int],
        day: dt.date,
        share: float = 0.5,
        on: bool = True,
        words: list[str] = ["it's"],  # noqa: B006
        note: str | None = None,
    ) -> str:
        return ""

    made = function.task
    assert (made.name, made.model, made.kind, made.returns) == ("typed", "m", "generator", "VARCHAR")
    assert [(a.name, a.type, a.default) for a in made.arguments] == [
        ("weight", "DECIMAL(4, 1)", None),
        ("names", "VARCHAR[]", None),
        ("counts", "MAP(VARCHAR, BIGINT)", None),
        ("day", "DATE", None),
        ("share", "DOUBLE", "0.5"),
        ("on", "BOOLEAN", "true"),
        ("words", "VARCHAR[]", "['it''s']"),
        ("note", "VARCHAR", "NULL"),
    ]


def function(x: str) -> str:
    return x


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: distil_sql.task(kind="judge")(function), "'generator' or 'labeller', not 'judge'"),
        (lambda: distil_sql.task(returns="NOTYPE")(function), "NOTYPE"),
        (lambda: distil_sql.task(max_token=3)(function), "did you mean 'max_tokens'"),
        (lambda: distil_sql.task(arguments={"y": "INTEGER"})(function), "no argument 'y'"),
        (lambda: distil_sql.task(lambda model: ""), "has no annotation"),
        (lambda: distil_sql.task(lambda *x: ""), "needs a name of its own"),
        (lambda: distil_sql.task(function).parse(lambda text, z: text), "no argument 'z'"),
    ],
)
def test_what_cannot_be_a_task_is_refused_in_one_sentence(make: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        make()


def test_names_that_are_taken_are_refused_and_ones_own_replaced(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(OptionError, match="function 'lower' of DuckDB"):
        distil_sql.register_task(con, distil_sql.task(name="lower")(function))
    with pytest.raises(OptionError, match=r"distil_sql\.connect"):
        distil_sql.register_task(duckdb.connect(), grade)
    with pytest.raises(OptionError, match=r"put @distil_sql\.task"):
        distil_sql.register_task(con, function)  # type: ignore[arg-type]
    distil_sql.run("CREATE OR REPLACE GENERATOR TASK stored(x VARCHAR) PROMPT 'a'", con)
    with pytest.raises(OptionError, match="task 'stored' exists"):
        distil_sql.register_task(con, distil_sql.task(name="stored")(function))
    for words in ("one", "two"):
        mine = distil_sql.task(name="mine", arguments={"x": "VARCHAR", "words": "VARCHAR"})(
            lambda x, words=words: f"{words} {x}"
        )
        distil_sql.register_task(con, mine)
        assert words in one(con, "SELECT mine_prompt('a')")
    distil_sql.run("DROP TASK mine", con)
    with pytest.raises(duckdb.Error):
        con.execute("SELECT mine_prompt('a')")


def test_a_database_opened_without_the_code_says_what_is_missing(fake_server: FakeServer, tmp_path: Path) -> None:
    database, script = tmp_path / "x.duckdb", tmp_path / "s.sql"
    script.write_text("CREATE TABLE v AS SELECT grade('a', 'b') AS x;")
    code = f"""
import distil_sql
from tests.test_python_tasks import grade
con = distil_sql.connect({str(database)!r})
distil_sql.register_task(con, grade)
distil_sql.run({model(fake_server, "labeller")!r}, con)
con.execute("SELECT grade('a', 'b')")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    found = distil("run", script, "-d", database)
    assert found.returncode != 0
    assert "task 'grade' is not defined here: if it is one in Python" in found.stderr
    assert "Traceback" not in found.stderr
    with distil_sql.connect(database) as con:
        with pytest.raises(duckdb.Error, match=r"distil_sql\.register_task\(con, grade\)"):
            con.execute("SELECT grade('a', 'b')").fetchall()
        distil_sql.register_task(con, grade)
        fake_server.reset(settings=True)
        con.execute("SELECT grade('a', 'b')").fetchall()  # an answer that did not parse is an answer in the ledger
        assert fake_server.stats()["requests"] == 0


def test_a_rolled_back_run_does_not_forget_it(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(DistilError):
        distil_sql.run("CREATE TABLE x AS SELECT 1; SELECT error('stop');", con)
    assert "Grade" in one(con, "SELECT grade_prompt('a', 'b')")
