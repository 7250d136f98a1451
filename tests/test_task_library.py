"""The task library: every task reads what models write, says where it comes from, and runs on server and tiny model.

The responses under `tests/data/responses/` are one JSON object a line: the task's arguments, what a model answered, and
what the task's SQL function is to make of it (null: nothing, with a reason).
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

import distil_sql
from distil_sql.cli.tasks import command
from distil_sql.library import header, read_library
from distil_sql.models import build
from distil_sql.models.base import Completion, Request
from distil_sql.pipeline import run_in
from distil_sql.quoting import name, text
from distil_sql.script import Source
from distil_sql.session import Session
from distil_sql.task import Task
from tests.command import model
from tests.fake_server import FakeServer

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "sql" / "tasks").glob("*.sql"))
TASKS = {task.name: task for task in read_library().tasks}
ASKED = {name: task for name, task in TASKS.items() if not task.embeds}
"""Those that a model answers in words; test_embed.py has the others."""

NOWHERE = "http://localhost:1/v1"
LISTS = {
    "ultrafeedback": "generations",
    "ultrajudge": "generations",
    "judgelm": "generations",
    "quality_scorer": "generations",
    "complexity_scorer": "instructions",
    "math_shepherd_labeller": "steps",
}
"""The tasks that give a list of labels, and the argument that they label."""


def recorded(task: str) -> list[dict[str, Any]]:
    lines = (ROOT / "tests" / "data" / "responses" / f"{task}.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def written(value: Any) -> str:
    """A value as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{text(key)}: {written(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(map(written, value)) + "]"


def values(task: Task, args: dict[str, Any]) -> list[str]:
    """The arguments as SQL, each as its type."""
    types = {argument.name: argument.type for argument in task.arguments}
    return [f"CAST({written(value)} AS {types[key]})" for key, value in args.items()]


def call(task: Task, args: dict[str, Any], suffix: str = "", **more: str) -> str:
    """A call of the task with arguments by name."""
    given = [f"{name(key)} := {value}" for key, value in zip(args, values(task, args), strict=True)]
    return f"{task.name}{suffix}({', '.join([*given, *(f'{key} := {value}' for key, value in more.items())])})"


def as_json(found: Any) -> Any:
    return None if found is None else json.loads(found)


def messages(con: duckdb.DuckDBPyConnection, prompt: str) -> Any:
    return as_json((con.execute(f"SELECT {prompt}").fetchone() or (None,))[0])


class Recorded:
    """A model that answers sample number n with the n-th text."""

    concurrency = 64
    told = None
    texts: dict[int, str] = {}  # noqa: RUF012

    def __init__(self, *_: object) -> None: ...

    async def complete(self, request: Request) -> Completion:
        return Completion(self.texts[request.sample])

    async def close(self) -> None: ...


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection on which generator and labeller answer from `Recorded.texts`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distil_sql.engine.build", lambda spec: Recorded() if spec.base_url == NOWHERE else build(spec))
        con = distil_sql.connect()
        models = "".join(
            f"CREATE MODEL {kind} (TYPE openai, model 'recorded', base_url '{NOWHERE}');"
            for kind in ("generator", "labeller")
        )
        distil_sql.run(models, con)
        yield con
        con.close()


# -- what models write -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", sorted(ASKED))
def test_recorded_responses_are_read_as_expected(task: str, con: duckdb.DuckDBPyConnection) -> None:
    cases = recorded(task)
    assert len(cases) >= 15
    Recorded.texts = {i: case["response"] for i, case in enumerate(cases)}
    wrong = []
    for given in {tuple(case["args"]) for case in cases}:
        rows = [
            f"({i}{''.join(', ' + value for value in values(TASKS[task], case['args']))})"
            for i, case in enumerate(cases)
            if tuple(case["args"]) == given
        ]
        names = ", ".join(["i", *map(name, given)])
        asked = f"{task}({', '.join([*(f'{name(key)} := {name(key)}' for key in given), 'sample := i'])})"
        for i, found in con.execute(
            f"SELECT i, to_json({asked}) FROM (VALUES {', '.join(rows)}) t({names})"
        ).fetchall():
            if as_json(found) != cases[i]["expect"]:
                wrong.append((cases[i]["note"], cases[i]["response"], as_json(found), cases[i]["expect"]))
    assert not wrong


@pytest.mark.parametrize("task", sorted(ASKED))
def test_an_answer_that_cannot_be_read_says_so(task: str, con: duckdb.DuckDBPyConnection) -> None:
    unread = [case for case in recorded(task) if case["expect"] is None]
    if TASKS[task].returns == "VARCHAR" and not TASKS[task].parse:
        assert not unread  # any text is an answer
        return
    assert unread
    Recorded.texts = {999: unread[0]["response"]}
    (details,) = (
        con.execute(f"SELECT {call(TASKS[task], unread[0]['args'], '_details', sample='999')}").fetchone() or ()
    )
    assert details["value"] is None
    assert details["error_kind"] == "unparsable"
    assert details["error"]


def parsed(con: duckdb.DuckDBPyConnection, task: Task, args: dict[str, Any], responses: list[str]) -> list[Any]:
    """What the task's parser gives for each response."""
    defaults = {a.name: f"CAST({a.default} AS {a.type})" for a in task.arguments if a.default is not None}
    given = defaults | {key: written(value) for key, value in args.items()}
    inputs = "".join(f", {given[a.name]}" for a in task.parse_inputs)
    rows = ", ".join(f"({i}, {text(response)})" for i, response in enumerate(responses))
    query = f"SELECT to_json(distil_parse_{task.name}(r{inputs})) FROM (VALUES {rows}) t(i, r) ORDER BY i"
    return [as_json(found) for (found,) in con.execute(query).fetchall()]


def labels(task: str, value: Any) -> list[Any] | None:
    if value is None:
        return None
    found: list[Any] = value["ratings"] if task == "judgelm" else value
    return found


@pytest.mark.parametrize("task", sorted(LISTS))
def test_a_response_cut_anywhere_gives_each_item_its_own_label_or_null(
    task: str, con: duckdb.DuckDBPyConnection
) -> None:
    draw = random.Random(task)
    for case in [case for case in recorded(task) if case["note"] in ("as asked", "CRLF", "bold", "blank lines")]:
        whole = labels(task, case["expect"])
        assert whole is not None
        cuts = draw.sample(range(len(case["response"])), min(120, len(case["response"])))
        pieces = [case["response"][:cut] for cut in cuts]
        for piece, value in zip(pieces, parsed(con, TASKS[task], case["args"], pieces), strict=True):
            found = labels(task, value)
            if found is None:
                continue
            assert len(found) == len(whole) == len(case["args"][LISTS[task]])
            for got, right in zip(found, whole, strict=True):
                assert agrees(got, right), (piece, got, right)


def agrees(got: Any, right: Any) -> bool:
    """NULL, the label, or as much of its text (and of a number's digits) as had been written."""
    if got is None or got == right:
        return True
    if isinstance(got, dict):
        return all(agrees(got[key], right[key]) for key in got)
    if isinstance(got, list):
        return all(agrees(a, b) for a, b in zip(got, right, strict=True))
    if isinstance(got, str):
        return str(right).startswith(got)
    return isinstance(got, float) and f"{right:g}".startswith(f"{got:g}")


@pytest.mark.parametrize("task", sorted(LISTS.keys() - {"math_shepherd_labeller"}))
def test_shuffled_items_get_their_own_labels(task: str, con: duckdb.DuckDBPyConnection) -> None:
    items = [f"item {i}" for i in range(1, 6)]
    orders = set()
    for seed in range(6):
        args = {**recorded(task)[0]["args"], LISTS[task]: items, "shuffle": True, "seed": seed}
        (prompt,) = con.execute(f"SELECT {call(TASKS[task], args, '_prompt')}").fetchone() or ()
        shown = [int(found) for found in re.findall(r"item (\d)", prompt)]
        orders.add(tuple(shown))
        reply = {
            "ultrafeedback": "".join(
                f"#### Answer {i}\nRating: {n}\nRationale: r{n}\n" for i, n in enumerate(shown, 1)
            ),
            "ultrajudge": "".join(f"#### Answer {i}\nScore: {n}\n" for i, n in enumerate(shown, 1)),
            "judgelm": " ".join(map(str, shown)) + "\nSo.",
        }.get(task, "".join(f"[{i}] Score: {n}\n" for i, n in enumerate(shown, 1)))
        (value,) = parsed(con, TASKS[task], args, [reply])
        found = labels(task, value)
        assert found is not None
        numbers = [item if isinstance(item, float) else item.get("rating", item.get("score")) for item in found]
        assert numbers == [1, 2, 3, 4, 5]
    assert len(orders) > 2


def test_a_shuffled_pair_is_named_as_its_arguments(con: duckdb.DuckDBPyConnection) -> None:
    for task in ("pairwise", "prometheus_relative"):
        for seed in range(6):
            args = {**recorded(task)[0]["args"], "response_a": "first", "response_b": "second", "shuffle": True}
            args["seed"] = seed
            (prompt,) = con.execute(f"SELECT {call(TASKS[task], args, '_prompt')}").fetchone() or ()
            letter = "A" if prompt.index("first") < prompt.index("second") else "B"
            (value,) = parsed(con, TASKS[task], args, [f"Because. [RESULT] {letter} [[{letter}]]"])
            assert value["winner"] == "A"


# -- what they say of themselves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_file_is_one_task_and_its_header_names_paper_inputs_output_scale_and_use(file: Path) -> None:
    content = file.read_text(encoding="utf-8")
    assert file.stem in TASKS
    assert len(re.findall(r"^CREATE ", content, re.MULTILINE)) == 1
    assert content.startswith(f"-- {file.stem}: ")
    paper = header(content, "Paper")
    assert re.search(r"\d{4}, arXiv:\d{4}\.\d{5}", paper), paper
    inputs = header(content, "Inputs")
    for argument in TASKS[file.stem].arguments:
        assert argument.name in inputs, argument.name
    assert header(content, "Output")
    assert header(content, "Scale")
    assert file.stem in content[content.index("-- Use:") : content.index("CREATE ")]


def test_the_readme_lists_every_task() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in readme.splitlines()
        if re.match(r"\| `\w+` \| (generator|labeller|embedder) \|", line)
    ]
    kinds = ("generator", "labeller", "embedder")
    assert [row[0] for kind in kinds for row in rows if row[1] == kind] == [row[0] for row in rows]
    listed = {row[0]: row for row in rows}
    assert listed.keys() == TASKS.keys()
    for task in TASKS.values():
        _, kind, arguments, returns, paper = listed[task.name]
        assert kind == task.kind
        assert arguments.replace("`", "").split(", ") == [argument.name for argument in task.arguments]
        assert returns == task.returns
        arxiv = re.search(r"\d{4}\.\d{5}", read_library().papers[task.name])
        assert arxiv is not None
        assert arxiv[0] in paper


@pytest.mark.parametrize("words", [["show", "ultrafeedback"], ["ultrafeedback"]])
def test_tasks_show_prints_signature_paper_and_a_rendered_sample(words: list[str], tmp_path: Path) -> None:
    shown = CliRunner().invoke(command, [*words, "-d", str(tmp_path / "none.duckdb")]).output
    assert "ultrafeedback(instruction VARCHAR, generations VARCHAR[], aspect VARCHAR DEFAULT 'overall-quality'" in shown
    assert "RETURNS STRUCT(rating DOUBLE, rationale VARCHAR)[]" in shown
    assert "arXiv:2310.01377" in shown
    assert "#### Answer 2\n<generations 2>" in shown.split("SAMPLE")[1]


# -- that they run -----------------------------------------------------------------------------------------------------


def test_every_task_runs_on_a_server(fake_server: FakeServer, tmp_path: Path) -> None:
    with distil_sql.connect(tmp_path / "x.duckdb") as con:
        replies, script = [], model(fake_server) + model(fake_server, "labeller")
        for task in ASKED.values():
            case = recorded(task.name)[0]
            user = messages(con, call(task, case["args"], "_prompt"))[-1]["content"]
            replies.append({"match": rf"\A{re.escape(user)}\Z", "replies": [case["response"]]})
            script += f"CREATE TABLE made_{task.name} AS SELECT to_json({call(task, case['args'])}) AS value;\n"
        fake_server.configure(scripts=replies)
        distil_sql.run(script, con)
        for task in ASKED.values():
            (found,) = con.execute(f"SELECT value FROM made_{task.name}").fetchone() or ()
            assert as_json(found) == recorded(task.name)[0]["expect"], task.name
        assert con.execute("SELECT count(DISTINCT task), min(status) FROM distil.calls").fetchone() == (
            len(ASKED),
            "ok",
        )
    assert fake_server.stats()["requests"] == len(ASKED)


def test_every_task_runs_on_the_tiny_model() -> None:
    pytest.importorskip("llama_cpp")
    session = Session.open(":memory:")
    try:
        for kind in ("generator", "labeller"):
            run_in(session, Source(f"CREATE MODEL {kind} (TYPE llama_cpp, path 'tiny', temperature 0)"))
        con = session.cursor()
        calls = []
        for task in ASKED.values():
            short = {**task.options, "max_tokens": 32, "reask": 0}
            session.registry.put_task(con, replace(task, options=short), replace_it=True)
            calls.append(f"('{task.name}', {call(task, recorded(task.name)[0]['args'], '_details')})")
        rows = []
        for given in calls:
            rows += con.execute(f"SELECT n, d.value IS NOT NULL, d.error FROM (VALUES {given}) t(n, d)").fetchall()
        assert {row[0] for row in rows} == ASKED.keys()
        for task_name, answered, error in rows:
            assert answered or error, task_name
        assert sum(answered for _, answered, _ in rows) > 5
    finally:
        session.close()


# -- what they do beside asking ----------------------------------------------------------------------------------------


def test_text_generation_and_judge_ask_as_they_did_where_nothing_new_is_given(con: duckdb.DuckDBPyConnection) -> None:
    assert messages(con, "text_generation_prompt('hi')") == [{"role": "user", "content": "hi"}]
    system, _ = messages(con, "text_generation_prompt('hi', system := 'Be brief.')")
    assert system == {"role": "system", "content": "Be brief."}
    system, user = messages(con, "judge_prompt('i', 'r')")
    assert system["content"] == (
        "You grade answers from 1 to 5. 5: right, complete and clear. 4: right, with a small flaw. 3: partly right.\n"
        "2: mostly wrong or off the point. 1: wrong or empty. Give the score and one short sentence of reason.\n"
        'Answer with JSON only: {"score": integer, "reason": string}'
    )
    assert user["content"] == "Instruction: i\nAnswer: r"
    assert "Is it polite?" in messages(con, "judge_prompt('i', 'r', criteria := 'Is it polite?')")[0]["content"]


def test_principles_are_added_and_drawn_balanced_or_by_weight(con: duckdb.DuckDBPyConnection) -> None:
    (names,) = con.execute("SELECT principles()").fetchone() or ()
    said = {messages(con, f"text_generation_prompt('hi', principle := '{one}')")[0]["content"] for one in names}
    assert len(said) == len(names) == 5
    assert (
        messages(con, "text_generation_prompt('hi', system := 'S', principle := 'honesty')")[0]["content"][:3]
        == "S\n\n"
    )
    balanced = con.execute(
        "SELECT p, count(*) FROM (SELECT balanced_principle(i) AS p FROM range(1, 101) t(i)) GROUP BY p"
    )
    assert dict(balanced.fetchall()) == dict.fromkeys(names, 20)
    query = "SELECT p, count(*) FROM (SELECT draw_principle('row ' || i{}) AS p FROM range(4000) t(i)) GROUP BY p"
    query += " ORDER BY p"
    drawn = dict(con.execute(query.format("")).fetchall())
    assert drawn.keys() == set(names)
    assert all(700 < count < 900 for count in drawn.values())
    drawn = dict(con.execute(query.format(", weights := {'honesty': 3, 'truthfulness': 1}")).fetchall())
    assert drawn.keys() == {"honesty", "truthfulness"}
    assert 2850 < drawn["honesty"] < 3150
    assert con.execute(query.format("")).fetchall() == con.execute(query.format("")).fetchall()
    con.execute("CREATE TEMP TABLE ten AS SELECT i AS id, 'q' || i AS instruction FROM range(10) t(i)")
    rows = con.execute("SELECT id, instruction, principle FROM with_principles('ten')").fetchall()
    assert sorted(row[2] for row in rows) == sorted(names * 2)


def test_a_chat_goes_to_the_model_turn_by_turn(con: duckdb.DuckDBPyConnection) -> None:
    turns = [("user", "a"), ("assistant", "b"), ("user", "{{ c }}")]
    chat = written([{"role": role, "content": content} for role, content in turns])
    assert messages(con, f"chat_generation_prompt({chat}, system := 'S')") == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "{{ c }}"},
    ]
    own = "[{'role': 'system', 'content': 'T'}, {'role': 'user', 'content': 'a'}]"
    assert messages(con, f"chat_generation_prompt({own}, system := 'S')")[0]["content"] == "S\n\nT"
    assert messages(con, "magpie_prompt()") == [{"role": "user", "content": ""}]
    for bad in ("[{'role': 'robot', 'content': 'a'}]", "[{'role': 'user', 'content': NULL}]", "[NULL]"):
        query = (
            f"SELECT chat_generation_details(CAST({bad} AS STRUCT(role VARCHAR, content VARCHAR)[]), sample := 9).error"
        )
        assert "message 1 of the chat cannot be sent" in (con.execute(query).fetchone() or ("",))[0]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("ultrafeedback_details('i', ['a'], aspect := 'beauty')", "there is no aspect 'beauty': use overall-quality"),
        ("ultrafeedback_details('i', []::VARCHAR[])", "there is no generation to rate"),
        ("evol_instruct_details('i', mutation := 'twist')", "there is no mutation 'twist': use breadth"),
        ("text_generation_details('i', principle := 'luck')", "there is no principle 'luck': use harmlessness"),
        ("text_classification_details('i', []::VARCHAR[])", "there is no label to choose from"),
    ],
)
def test_what_no_prompt_can_be_made_of_asks_nothing_and_says_why(
    con: duckdb.DuckDBPyConnection, asked: str, reason: str
) -> None:
    before = con.execute("SELECT count(*) FROM distil.calls").fetchone()
    (details,) = con.execute(f"SELECT {asked}").fetchone() or ()
    assert details["value"] is None
    assert reason in details["error"]
    assert con.execute("SELECT count(*) FROM distil.calls").fetchone() == before


def test_arguments_that_parse_reads_may_be_subqueries_columns_and_other_types(con: duckdb.DuckDBPyConnection) -> None:
    Recorded.texts = {7: "[1] Score: 1\n[2] Score: 2\n[3] Score: 3"}
    rows = "(SELECT list('a' || i ORDER BY i) FROM range(3) t(i))"
    assert con.execute(f"SELECT quality_scorer('subquery', {rows}, sample := 7)").fetchone() == ([1, 2, 3],)
    query = (
        "SELECT quality_scorer(q, g, sample := 7) FROM (VALUES ('one', ['a', 'b', 'c']), ('two', ['a', 'b'])) t(q, g)"
    )
    assert con.execute(query).fetchall() == [([1, 2, 3],), ([1, 2],)]
    assert con.execute("SELECT quality_scorer('numbers', [1, 2, 3], sample := 7)").fetchone() == ([1, 2, 3],)
    assert con.execute("SELECT quality_scorer_n('n', ['a', 'b'], n := 1, sample := 7)").fetchone() == ([[1, 2]],)
    found = con.execute("SELECT quality_scorer_details('d', ['a', 'b'], sample := 7).value").fetchone()
    assert found == ([1, 2],)


TOOLS = """[
  {"name": "weather", "parameters": {"type": "object", "required": ["city"], "properties": {
    "city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"type": "string", "enum": ["C", "F"]}}}},
  {"type": "function", "function": {"name": "add", "parameters": {
    "a": {"type": "int"}, "b": {"type": "int, optional"}, "c": {"type": "List[int]", "default": []}}}}]"""


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        ('[{"name": "weather", "arguments": {"city": "Rome", "days": 3, "unit": "C"}}]', None),
        ('[{"name": "add", "arguments": {"a": 1}}, {"name": "weather", "arguments": {"city": "Oslo"}}]', None),
        ('[{"name": "weather", "arguments": {"days": 3}}]', "weather: it has no city"),
        ('[{"name": "weather", "arguments": {"city": 3}}]', "weather: city should be string, not ubigint"),
        (
            '[{"name": "weather", "arguments": {"city": "Rome", "days": "3"}}]',
            "weather: days should be integer, not varchar",
        ),
        (
            '[{"name": "weather", "arguments": {"city": "Rome", "unit": "K"}}]',
            'weather: unit should be one of ["C","F"]',
        ),
        ('[{"name": "add", "arguments": {"a": 1, "x": 2}}]', "add: there is no x"),
        ('[{"name": "add"}]', "add: it has no a"),
        ('[{"name": "add", "arguments": {"a": 1.5}}]', "add: a should be int, not double"),
        ('[{"name": "add", "arguments": [1]}]', "add: its arguments are no object"),
        ('[{"name": "remove", "arguments": {}}]', "there is no function remove"),
        ('[{"arguments": {}}]', "a call has no name"),
        ("[]", "there is no call"),
        ("{}", "the calls are no JSON list"),
        ("add(1)", "the calls are no JSON list"),
    ],
)
def test_apigen_calls_are_checked_without_running_them(
    con: duckdb.DuckDBPyConnection, calls: str, reason: str | None
) -> None:
    found = con.execute("SELECT apigen_check(?, ?)", [TOOLS, calls]).fetchone()
    assert found == ({"ok": reason is None, "reason": reason},)


def test_verdicts_are_put_together(con: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT both_ways('A', 'A'), both_ways('A', 'B'), both_ways('tie', 'tie'), both_ways('A', NULL)"
    assert con.execute(query).fetchone() == ("A", "tie", "tie", None)
    query = "SELECT step_label(['1,000', '1000.0', 'x', NULL], '1000'), step_label(['B'], 'b.'), step_label([], '1')"
    assert con.execute(query).fetchone() == ({"hard": True, "soft": 0.5}, {"hard": True, "soft": 1.0}, None)


# -- how they get into a database --------------------------------------------------------------------------------------


def test_what_is_the_users_own_keeps_its_name(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    session = Session.open(path)
    try:
        old = "DROP TASK pairwise; DROP TASK magpie; CREATE GENERATOR TASK pairwise_n(x VARCHAR) PROMPT $$2 {{ x }}$$;"
        run_in(
            session, Source(old + "CREATE MACRO shout(x) AS upper(x); CREATE OR REPLACE MACRO principles() AS 'mine';")
        )
        own = "CREATE GENERATOR TASK loud(x VARCHAR) PROMPT $${{ x }}$$ PARSE $$shout(response)$$; DROP MACRO shout;"
        run_in(session, Source(own + "CREATE MACRO magpie(bird) AS 'a ' || bird;"))
        session.root.execute("UPDATE distil.meta SET value = 'older' WHERE key = 'library'")
    finally:
        session.close()
    for _ in range(2):
        session = Session.open(path)
        try:
            run_in(session, Source("CREATE OR REPLACE GENERATOR TASK clair(x VARCHAR) PROMPT $${{ x }}$$;"))
            con = session.cursor()
            assert con.execute("SELECT principles(), magpie('x')").fetchone() == ("mine", "a x")
            assert [argument.name for argument in session.registry.task("clair").arguments] == ["x"]
            assert "magpie" not in session.registry.tasks
            assert "pairwise" not in session.registry.tasks
            assert con.execute("SELECT pairwise_n_prompt('x') IS NOT NULL").fetchone() == (True,)
        finally:
            session.close()


def test_a_database_that_has_the_library_is_left_as_it_is_and_an_older_one_is_brought_up_to_date(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.duckdb"
    Session.open(path).close()
    with duckdb.connect(str(path)) as plain:
        plain.execute("CREATE OR REPLACE MACRO distil_filled(said) AS 'touched'")
        plain.execute("COMMENT ON MACRO distil_filled IS 'distil-sql library'")
    session = Session.open(path)
    assert session.root.execute("SELECT distil_filled('x')").fetchone() == ("touched",)
    session.root.execute("UPDATE distil.meta SET value = 'older' WHERE key = 'library'")
    session.root.execute("UPDATE distil.tasks SET prompt = 'old' WHERE name = 'judge'")
    session.close()
    session = Session.open(path)
    try:
        assert session.root.execute("SELECT distil_filled(' x ')").fetchone() == ("x",)
        assert session.registry.task("judge").prompt == TASKS["judge"].prompt
        assert session.registry.task("judge").version == 2
    finally:
        session.close()


def test_a_task_of_ones_own_is_one_sql_file(tmp_path: Path, fake_server: FakeServer) -> None:
    fake_server.configure(scripts=[{"replies": ["**Mood:** 4/5"]}])
    (tmp_path / "mood.sql").write_text(
        model(fake_server, "labeller")
        + """CREATE LABELLER TASK mood(review VARCHAR) RETURNS DOUBLE
          PROMPT $$How happy is this review, from 1 to 5? {{ review }}$$
          PARSE $$distil_rating(response, 'mood', 1, 5)$$;
        CREATE TABLE moods AS SELECT mood('Lovely.') AS mood;"""
    )
    with distil_sql.connect(tmp_path / "x.duckdb") as con:
        distil_sql.run(tmp_path / "mood.sql", con)
        assert con.execute("FROM moods").fetchall() == [(4.0,)]
