"""The task library: every task reads what models write, says where it comes from, and runs on server and tiny model.

The responses under `tests/data/responses/` are one JSON object a line: the task's arguments, what a model answered, and
what the task's SQL function is to make of it (null: nothing, with a reason).
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

import distil_sql
from distil_sql.library import header, read_library
from distil_sql.models.base import Completion, Request
from distil_sql.quoting import name, text
from distil_sql.session import Session
from distil_sql.task import Task
from tests.command import model
from tests.fake_server import FakeServer

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "sql" / "tasks").glob("*.sql"))
TASKS = {task.name: task for task in read_library().tasks}
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


def call(task: Task, args: dict[str, Any], suffix: str = "", **more: str) -> str:
    """A call of the task with arguments by name, each as its type."""
    types = {argument.name: argument.type for argument in task.arguments}
    given = [f"{name(key)} := CAST({written(value)} AS {types[key]})" for key, value in args.items()]
    return f"{task.name}{suffix}({', '.join([*given, *(f'{key} := {value}' for key, value in more.items())])})"


def as_json(found: Any) -> Any:
    return None if found is None else json.loads(found)


class Recorded:
    """A model that answers sample number n with the n-th text."""

    concurrency = 64
    texts: list[str] = []  # noqa: RUF012

    def __init__(self, *_: object) -> None: ...

    async def complete(self, request: Request) -> Completion:
        return Completion(self.texts[request.sample])

    async def close(self) -> None: ...


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection on which generator and labeller answer from `Recorded.texts`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distil_sql.engine.build", Recorded)
        con = distil_sql.connect()
        models = "".join(
            f"CREATE MODEL {kind} (TYPE openai, model 'recorded', base_url 'http://localhost:1/v1');"
            for kind in ("generator", "labeller")
        )
        distil_sql.run(models, con)
        yield con
        con.close()


# -- what models write -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", sorted(TASKS))
def test_recorded_responses_are_read_as_expected(task: str, con: duckdb.DuckDBPyConnection) -> None:
    cases = recorded(task)
    assert len(cases) >= 15
    Recorded.texts = [case["response"] for case in cases]
    calls = [f"({i}, to_json({call(TASKS[task], case['args'], sample=str(i))}))" for i, case in enumerate(cases)]
    wrong = []
    for i, found in con.execute(f"SELECT * FROM (VALUES {', '.join(calls)}) t(i, value) ORDER BY i").fetchall():
        if as_json(found) != cases[i]["expect"]:
            wrong.append((cases[i]["note"], cases[i]["response"], as_json(found), cases[i]["expect"]))
    assert not wrong


@pytest.mark.parametrize("task", sorted(TASKS))
def test_an_answer_that_cannot_be_read_says_so(task: str, con: duckdb.DuckDBPyConnection) -> None:
    unread = [case for case in recorded(task) if case["expect"] is None]
    if TASKS[task].returns == "VARCHAR" and not TASKS[task].parse:
        assert not unread  # any text is an answer
        return
    assert unread
    Recorded.texts = [unread[0]["response"] or "?!"]
    (details,) = con.execute(f"SELECT {call(TASKS[task], unread[0]['args'], '_details')}").fetchone() or ()
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
        cuts = sorted({draw.randrange(len(case["response"])) for _ in range(40)})
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
            "ultrafeedback": "".join(f"#### Answer {i}\nRating: {n}\nRationale: r{n}\n" for i, n in enumerate(shown, 1)),
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
        if re.match(r"\| `\w+` \| (generator|labeller) \|", line)
    ]
    assert [row[0] for row in rows if row[1] == "generator"] + [row[0] for row in rows if row[1] == "labeller"] == [
        row[0] for row in rows
    ]
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
    command = [sys.executable, "-m", "distil_sql", "tasks", *words, "-d", str(tmp_path / "none.duckdb")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "ultrafeedback(instruction VARCHAR, generations VARCHAR[], aspect VARCHAR DEFAULT 'overall-quality'" in shown
    assert "RETURNS STRUCT(rating DOUBLE, rationale VARCHAR)[]" in shown
    assert "arXiv:2310.01377" in shown
    assert "#### Answer 2\n<generations 2>" in shown.split("SAMPLE")[1]


# -- that they run -----------------------------------------------------------------------------------------------------


def test_every_task_runs_on_a_server(fake_server: FakeServer, tmp_path: Path) -> None:
    with distil_sql.connect(tmp_path / "x.duckdb") as con:
        distil_sql.run(model(fake_server) + model(fake_server, "labeller"), con)
        for task in TASKS.values():
            case = recorded(task.name)[0]
            fake_server.configure(scripts=[{"replies": [case["response"]]}])
            table = f"CREATE TABLE made_{task.name} AS SELECT to_json({call(task, case['args'])}) AS value;"
            distil_sql.run(table, con)
            (found,) = con.execute(f"SELECT value FROM made_{task.name}").fetchone() or ()
            assert as_json(found) == case["expect"], task.name
        assert con.execute("SELECT count(DISTINCT task), min(status) FROM distil.calls").fetchone() == (len(TASKS), "ok")
    assert fake_server.stats()["requests"] == len(TASKS)


def test_every_task_runs_on_the_tiny_model() -> None:
    pytest.importorskip("llama_cpp")
    session = Session.open(":memory:")
    try:
        con = session.cursor()
        for kind in ("generator", "labeller"):
            distil_sql.pipeline_run(session, f"CREATE MODEL {kind} (TYPE llama_cpp, path 'tiny', temperature 0)")
    finally:
        session.close()
