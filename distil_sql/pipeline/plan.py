"""Plan: what a script would ask and cost, with no call made (see `overlay`).

Each statement runs in memory with a stand-in for every answer that the ledger does not hold, so that the statements
after it have rows to count. What depends on the answers themselves (a WHERE on a score) is counted as if they were the
stand-ins, and said so. The stand-in for a vector is as long as the model's are known to be, and points anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import duckdb
import numpy as np

from distil_sql.check import called_tasks
from distil_sql.engine import Call
from distil_sql.models import vector_length
from distil_sql.models.options import ModelSpec
from distil_sql.pipeline.overlay import Overlay
from distil_sql.script import Source, Sql
from distil_sql.script.anatomy import inner_select, target
from distil_sql.udf.passes import Mode, Pass, evaluated

_CHARACTERS_A_TOKEN = (3.0, 4.5)  # many and few tokens for the same text
_USUAL_ANSWER = 64  # tokens, where the ledger knows nothing of the task
_LONGEST_ANSWER = 1024  # tokens, where nothing limits it
_USUAL_LATENCY_S = 2.0
_LETTERS = str.maketrans("0123456789", "ghijklmnop")  # a PARSE that looks for a score finds no number in a stand-in
_CONCURRENCY = 64  # what a server without a limit of the user's own is likely to bear


@dataclass
class Usual:
    """What the ledger's calls of one task were like: output tokens (mean, longest) and seconds, or nothing."""

    mean: float | None = None
    longest: float | None = None
    seconds: float | None = None


@dataclass
class Planned:
    """One statement: rows, calls that would be made, answers at hand, tokens and USD as (low, high), seconds."""

    number: int
    label: str
    rows: int = 0
    calls: int = 0
    hits: int = 0
    input_tokens: tuple[int, int] = (0, 0)
    output_tokens: tuple[int, int] = (0, 0)
    cost: tuple[float, float] | None = None
    seconds: float = 0.0
    note: str | None = None


@dataclass
class _Asked:
    """The calls of one model that a statement would make."""

    calls: int = 0
    characters: int = 0
    output: list[float] = field(default_factory=lambda: [0.0, 0.0])
    seconds: float = 0.0


class _Counter:
    """Counts the calls of a statement; each key once in the whole script."""

    def __init__(self, usual: dict[str, Usual], seen: set[str], lengths: dict[str, int | None]) -> None:
        """`seen` has the keys counted before; `lengths` those of each model's vectors, as far as they are known."""
        self.usual, self.seen, self.lengths = usual, seen, lengths
        self.by_model: dict[str, tuple[ModelSpec, _Asked]] = {}
        self.unreadable: set[str] = set()

    def count(self, call: Call) -> str:
        """Count a call and give a stand-in for its answer."""
        usual = self.usual[call.task.name]
        allowed = call.request.sampling.max_tokens
        allowed = 0 if call.task.embeds else allowed or _LONGEST_ANSWER
        low = min(usual.mean or _USUAL_ANSWER, allowed)
        if call.key not in self.seen:
            self.seen.add(call.key)
            asked = self.by_model.setdefault(call.model.name, (call.model, _Asked()))[1]
            asked.calls += 1
            asked.characters += len(call.messages)
            asked.output[0] += low
            asked.output[1] += min(usual.longest or _LONGEST_ANSWER, allowed)
            asked.seconds += usual.seconds or _USUAL_LATENCY_S
        if call.task.embeds and (length := self._length(call)):
            return _vector(call.key, length)
        if call.task.parse or call.task.embeds or call.task.reads_in_python:
            self.unreadable.add(call.task.name)
        if call.task.embeds or call.task.reads_in_python:
            return ""
        if not call.task.output.is_text:
            return call.task.output.example()
        return _text(call.key, round(low))

    def _length(self, call: Call) -> int | None:
        if said := re.search(r"\[\s*(\d+)\s*\]", call.task.returns):
            return int(said[1])
        model = call.model
        if model.name not in self.lengths:
            self.lengths[model.name] = vector_length(model)
        return self.lengths[model.name]


def plan(source: Source, database: str, overrides: dict[str, str] | None = None) -> Iterator[Planned]:
    """What each statement that calls a task would do; raises as `run` does."""
    with Overlay(source, database, overrides) as over:
        usual, lengths = _usual(over), _lengths(over)
        seen: set[str] = set()
        for statement in over.statements:
            if isinstance(statement, Sql) and called_tasks(statement, over.session.registry):
                yield _planned(over, statement, usual, seen, lengths)
            else:
                over.prepare(statement)


def _planned(
    over: Overlay, statement: Sql, usual: dict[str, Usual], seen: set[str], lengths: dict[str, int | None]
) -> Planned:
    label = f"{statement.verb} {target(statement) or ''}".strip()
    planned = Planned(statement.number, label)
    query = inner_select(statement)
    if query is None:
        planned.note = "its rows cannot be counted beforehand"
        return planned
    counter = _Counter(usual, seen, lengths)
    current = Pass(Mode.PLAN, over.session.run_id, plan=counter.count)
    aim = target(statement)
    with over.during(statement, current):
        if statement.verb == "CREATE" and aim:
            over.make(aim, query)
            planned.rows = _one(over.con, f"SELECT count(*) FROM {aim}")
        else:
            planned.rows = sum(evaluated(over.con, query))
    planned.hits = current.tally.hits
    _sum(planned, counter)
    return planned


def _sum(planned: Planned, counter: _Counter) -> None:
    many, few = _CHARACTERS_A_TOKEN
    cost = [0.0, 0.0]
    priced = False
    for spec, asked in counter.by_model.values():
        tokens_in = round(asked.characters / few), round(asked.characters / many)
        tokens_out = round(asked.output[0]), round(asked.output[1])
        planned.calls += asked.calls
        planned.input_tokens = (planned.input_tokens[0] + tokens_in[0], planned.input_tokens[1] + tokens_in[1])
        planned.output_tokens = (planned.output_tokens[0] + tokens_out[0], planned.output_tokens[1] + tokens_out[1])
        for side in (0, 1):
            if (usd := spec.cost(tokens_in[side], tokens_out[side], 0)) is not None:
                cost[side] += usd
                priced = True
        rpm, tpm = spec.number("rpm"), spec.number("tpm")
        planned.seconds += max(
            asked.seconds / (spec.whole("concurrency") or _CONCURRENCY),
            60 * asked.calls / rpm if rpm else 0.0,
            60 * (tokens_in[1] + tokens_out[0]) / tpm if tpm else 0.0,
        )
    planned.cost = (cost[0], cost[1]) if priced else None
    if counter.unreadable:
        planned.note = f"{', '.join(sorted(counter.unreadable))}: values unknown, so what reads them is not counted"


def _text(key: str, words: int) -> str:
    """Some text of so many words, unlike those of other calls: what drops duplicates is to keep it."""
    drawn = hashlib.shake_128(key.encode()).hexdigest(3 * max(words, 1)).translate(_LETTERS)
    return " ".join(drawn[i : i + 6] for i in range(0, len(drawn), 6))


def _vector(key: str, length: int) -> str:
    """Some vector, always the same for the same call."""
    drawn = np.frombuffer(hashlib.shake_128(key.encode()).digest(length), np.int8)
    return base64.b64encode((drawn + 0.5).astype("<f4").tobytes()).decode()


def _usual(over: Overlay) -> dict[str, Usual]:
    """What is known of each task's answers from the ledgers at hand."""
    known: dict[str, Usual] = defaultdict(Usual)
    for table in over.session.ledger.tables:
        query = f"""SELECT task, avg(output_tokens), max(output_tokens), avg(latency_ms) / 1000 FROM {table}
            WHERE status = 'ok' AND output_tokens > 0 GROUP BY task"""
        for task, mean, longest, seconds in over.con.execute(query).fetchall():
            known[task] = Usual(mean, longest, seconds)
    return known


def _lengths(over: Overlay) -> dict[str, int | None]:
    """How long the vectors of each model are, by its name, as far as the ledgers at hand hold any."""
    embedders = [task.name for task in over.session.registry.tasks.values() if task.embeds]
    known: dict[str, int | None] = {}
    for table in over.session.ledger.tables:
        query = f"""SELECT model, any_value(len(distil_vector(response))) FROM {table}
            WHERE status = 'ok' AND task IN (SELECT unnest(?::VARCHAR[])) GROUP BY model"""
        known |= {model: length for model, length in over.con.execute(query, [embedders]).fetchall() if length}
    return known


def _one(con: duckdb.DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    return int(row[0]) if row else 0
