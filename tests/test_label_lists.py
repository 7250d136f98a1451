"""A list of n generations gives n labels in their order, or NULLs in the right places, however a model writes it.

Each habit below writes the labels of some items, in the order shown, as some model would; items may be left out. The
label of an item is then that item's own, or NULL, whether the items were shuffled or not.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import duckdb
import pytest

import distil_sql
from distil_sql.prompt.template import order
from tests.test_task_library import LISTS, TASKS, labels, parsed, recorded

Given = Sequence[tuple[int, int]]
"""Place as shown (from 1) and label, of the items that the model speaks of."""

WORDS = ["one", "two", "three", "four", "five"]
HEADINGS = [
    "#### Answer {}",
    "**Answer {}:**",
    "Answer {}",
    "### Text {}",
    "[{}]",
    "Response {}:",
    "🔹 Answer {}",
    "{}",
]
AROUND = [
    "{}",
    "Here you are:\n\n{}",
    "<think>\nAnswer 1: 3, no.\n[1] Score: 2\n</think>\n{}",
    "{}\n\n---\nDone.",
    "\n{}\n",
]
LABELS = [
    "Rating: {}",
    "**Rating:** {}",
    "Rating\uff1a{}",
    "⭐ Rating: {}/5",
    "- Rating: {}.0",
    "Rating: {} (fair)",
    "rating = {}",
]


def sections(given: Given, draw: random.Random) -> str:
    heading, label = draw.choice(HEADINGS[:-1]), draw.choice(LABELS)
    reason = draw.choice(["\nRationale: It is item {}.", "\n**Rationale**: Item {}: so, so.", ""])
    gap = draw.choice(["\n\n", "\n", "\r\n\r\n"])
    return gap.join(heading.format(i) + "\n" + label.format(n) + reason.format(i) for i, n in given)


def table(given: Given, draw: random.Random) -> str:
    first = draw.choice(["{}", "Answer {}", "**{}**"])
    rows = [f"| {first.format(i)} | {n} | Because of {i}. |" for i, n in given]
    return "\n".join(["| Answer | Rating | Rationale |", "|---|:-:|---|", *rows])


def lines(given: Given, draw: random.Random) -> str:
    form = draw.choice(
        [
            "[{i}] Score: {n}",
            "{i}. {n}/6",
            "[{i}] {n}",
            "- [{i}] Score: **{n}**",
            "{i}. Score: {n}",
            "[{i}] Score\uff1a{n}",
            "✅ [{i}] Score: {n} (clear)",
            "Score [{i}]: {n}",
            "[{i}] Score: {w}",
            "{i}) Score = {n}",
        ]
    )
    gap = draw.choice(["\n", "\n\n", "\r\n"])
    return gap.join(form.format(i=i, n=n, w=WORDS[n - 1]) for i, n in given)


def one_line(given: Given, draw: random.Random) -> str:
    return draw.choice([" | ", "; ", ", "]).join(f"[{i}] Score: {n}" for i, n in given)


def numbers(given: Given, draw: random.Random) -> str:
    said = draw.choice([" ", ", ", " | ", " / ", "; "]).join(str(n) for _, n in given)
    return draw.choice(["{}", "[{}]", "Scores: {}", "**{}**", "```\n{}\n```"]).format(said) + "\nThat is all."


def named(given: Given, draw: random.Random) -> str:
    if draw.random() < 0.5:
        return ", ".join(f"Answer {i}: {n}" for i, n in given) + "\nThat is all."
    return "\n".join(f"**Answer {i}:** {n}/10" for i, n in given) + "\n\nThat is all."


def objects(given: Given, draw: random.Random) -> str:
    key = draw.choice(["answer", "id", "index"])
    rows = ", ".join(f'{{"{key}": {i}, "rating": {n}, "rationale": "x"}}' for i, n in given)
    return draw.choice(["[{}]", "```json\n[{}]\n```", '{{"ratings": [{}]}}']).format(rows)


def by_name(given: Given, draw: random.Random) -> str:
    form = draw.choice(['"{i}": {n}', '"Answer {i}": {n}', '"answer_{i}": {n}', '"{i}": {{"score": {n}}}'])
    return "{" + ", ".join(form.format(i=i, n=n) for i, n in given) + "}"


def areas(given: Given, draw: random.Random) -> str:
    form = draw.choice(["#### Answer {i}\nTone: 2 - dry\nScore: {n}", "**Answer {i}**\n- Tone: 2/4\n- Score: {n}/10"])
    return "\n\n".join(form.format(i=i, n=n) for i, n in given)


def steps(given: Given, draw: random.Random) -> str:
    plus, minus = draw.choice([("+", "-"), ("✅", "❌"), ("correct", "incorrect"), ("[+]", "[-]"), ("**+**", "**-**")])
    form = draw.choice(
        ["Step {i}: {m}", "{i}. {m}", "**Step {i}:** {m}", "- Step {i}: {m}", "| {i} | {m} |", "Step {i}\uff1a{m}"]
    )
    return "\n".join(form.format(i=i, m=plus if n > 2 else minus) for i, n in given)


Habit = Callable[[Given, random.Random], str]
HABITS: dict[str, list[Habit]] = {
    "ultrafeedback": [sections, sections, table, objects],
    "quality_scorer": [lines, lines, one_line, by_name, table, objects],
    "complexity_scorer": [lines, lines, one_line, by_name, table, objects],
    "judgelm": [numbers, named, table, by_name],
    "ultrajudge": [areas],
    "math_shepherd_labeller": [steps],
}


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with distil_sql.connect() as found:
        yield found


def _value(task: str, label: Any) -> Any:
    if task == "math_shepherd_labeller":
        return label
    return label if isinstance(label, float) or label is None else label.get("rating", label.get("score"))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("task", sorted(HABITS))
def test_each_item_gets_its_own_label_or_none(task: str, shuffle: bool, con: duckdb.DuckDBPyConnection) -> None:
    assert HABITS.keys() == LISTS.keys()
    if shuffle and task == "math_shepherd_labeller":
        return  # steps have an order
    draw = random.Random(f"{task} {shuffle}")
    read = told = 0
    for _ in range(8):
        count = draw.randint(2, 5)
        items = [f"item {draw.randint(0, 999)} {i}" for i in range(count)]
        right = [draw.randint(1, 5) for _ in items]
        args = {**recorded(task)[0]["args"], LISTS[task]: items}
        args |= {"areas": ["Tone"]} if task == "ultrajudge" else {}
        args |= {"shuffle": True, "seed": 3} if shuffle else {}
        shown = order(items, 3) if shuffle else list(range(count))
        texts, wholes = [], []
        for _ in range(40):
            given = [(place, right[i]) for place, i in enumerate(shown, 1)]
            if draw.random() < 0.4:  # one is left out, or two are told in another order
                given.pop(draw.randrange(count)) if draw.random() < 0.5 else draw.shuffle(given)
            wholes.append(given == [(place, right[i]) for place, i in enumerate(shown, 1)])
            habit = draw.choice(HABITS[task])
            if habit is numbers and not wholes[-1]:
                given = given[: count - 1]  # bare numbers have their order alone
            texts.append(
                draw.choice(AROUND if habit not in (objects, by_name) else AROUND[:3]).format(habit(given, draw))
            )
        for text, whole, value in zip(texts, wholes, parsed(con, TASKS[task], args, texts), strict=True):
            found = labels(task, value)
            told += whole
            read += whole and found is not None and None not in [_value(task, label) for label in found]
            if found is None:
                continue
            assert len(found) == count
            for label, n in zip(found, right, strict=True):
                wanted = ("+" if n > 2 else "-") if task == "math_shepherd_labeller" else n
                assert _value(task, label) in (None, wanted), (text, [_value(task, one) for one in found], right, shown)
    assert read >= 0.9 * told, (read, told)
