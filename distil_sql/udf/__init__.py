"""The internal functions behind every task: Arrow batches in, calls asked for or looked up, Arrow batches out.

`Functions(…).register(root)` creates `distil_response`, `distil_details`, `distil_prompt` and `distil_vector`, once per
database, on a connection that lives as long as the database is open (DuckDB crashes if it goes first).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring as _escaped
from typing import Any

import duckdb
import pyarrow as pa

from distil_sql.engine import Call, Engine, Keys, Tally, keys_for, request_for
from distil_sql.errors import OptionError
from distil_sql.ledger import Ledger, asks_again
from distil_sql.models.base import Message, Request
from distil_sql.models.options import ModelSpec
from distil_sql.models.pool import deal
from distil_sql.prompt.template import TemplateError
from distil_sql.registry import Registry
from distil_sql.task import Task
from distil_sql.udf.details import DETAIL, DETAIL_SQL, shown, unasked
from distil_sql.udf.passes import Missing, Mode, Pass, Passes
from distil_sql.udf.reading import reader_of
from distil_sql.udf.vectors import read_vectors


@dataclass
class Asked:
    """One row's calls: the keys of its samples, or why it has none (a NULL argument, a template error)."""

    keys: list[str]
    reason: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Asker:
    """A model as one task uses it: what every request of theirs has in common."""

    spec: ModelSpec
    request: Request
    keys: Keys


class Functions:
    """The internal functions of one database."""

    def __init__(self, registry: Registry, ledger: Ledger, engine: Engine, default: Pass) -> None:
        self._registry, self._ledger, self._engine, self._default = registry, ledger, engine, default
        self.passes = Passes()
        self._asking = threading.Lock()
        self._askers: dict[tuple[int, int], tuple[Task, ModelSpec, Asker]] = {}

    def register(self, root: duckdb.DuckDBPyConnection) -> None:
        """Create the functions. `side_effects=False`: a keyed ledger makes them as good as pure."""
        made: tuple[tuple[str, Callable[..., pa.Array], str], ...] = (
            ("distil_response", self._respond, "VARCHAR[]"),
            ("distil_details", self._detail, DETAIL_SQL),
            ("distil_prompt", self._show_prompt, "VARCHAR"),
            ("distil_vector", read_vectors, "FLOAT[]"),
        )
        for name, function, returns in made:
            create: Callable[..., object] = root.create_function  # the stubs know only the enums' own types
            create(name, function, None, returns, type="arrow", null_handling="special", side_effects=False)

    # -- the functions themselves ------------------------------------------------------------------------------------

    def _respond(self, *columns: pa.ChunkedArray) -> pa.Array:
        task, rows, asked, answers = self._answers(columns, self._ledger.lookup)
        reader = reader_of(task)
        read: dict[str, str | None] = {}
        values: list[list[str | None] | None] = []
        for row in asked:
            answered = _is_answered(row, answers)
            for key in row.keys if answered else ():
                if key not in read or task.reads_in_python:  # which may read arguments that are not in the prompt
                    _, response, status, kind, *_ = answers[key]
                    usable = response is not None and task.usable(status, kind)
                    read[key] = reader(response, row.values) if usable else None
            values.append([read[key] for key in row.keys] if answered else None)
        return pa.array(values if rows else [], pa.list_(pa.string()))

    def _detail(self, *columns: pa.ChunkedArray) -> pa.Array:
        task, rows, asked, answers = self._answers(columns, self._ledger.details)
        reader = reader_of(task)
        values = [
            [unasked(row.reason)]
            if row.reason is not None
            else [shown(task, reader, answers[key], row.values) for key in row.keys]
            if _is_answered(row, answers)
            else None
            for row in asked
        ]
        return pa.array(values if rows else [], pa.list_(DETAIL))

    def _show_prompt(self, *columns: pa.ChunkedArray) -> pa.Array:
        from distil_sql.prompt.formats import format_messages

        if not len(columns[0]):
            return pa.array([], pa.string())
        task = self._task(columns[0][0].as_py())
        formats = columns[1].to_pylist()
        shown: list[str | None] = []
        for format_, values in zip(formats, _rows(task, columns[3:], len(formats)), strict=True):
            if format_ is None or any(values[task.arguments[i].name] is None for i in task.required):
                shown.append(None)
                continue
            try:
                shown.append(format_messages(task.messages(values), format_))
            except TemplateError:
                shown.append(None)
        return pa.array(shown, pa.string())

    # -- how they get there ------------------------------------------------------------------------------------------

    def _answers(
        self, columns: Sequence[pa.ChunkedArray], look_up: Callable[[Sequence[str]], Any]
    ) -> tuple[Task, int, list[Asked], dict[str, tuple[Any, ...]]]:
        """Render a batch, find its answers, and do about the missing ones what the pass says."""
        count = len(columns[0])
        token = columns[1][0].as_py() if count else None
        current = self.passes.get(token, self._default)
        try:
            task = self._task(columns[0][0].as_py()) if count else _NO_TASK
            asked: list[Asked] = []
            answers: dict[str, tuple[Any, ...]] = {}
            for start, rows in ((0, min(count, _FIRST_ROWS)), (_FIRST_ROWS, count - _FIRST_ROWS)):
                if rows > 0:  # the first calls are on their way while the others are rendered
                    part, calls = self._render(task, current, [column.slice(start, rows) for column in columns])
                    asked += part
                    answers |= self._settle(current, calls, look_up)
            if current.counts_hits and (verdict := self._engine.policy.verdict_on_hits(current.tally, task.name)):
                raise verdict
        except BaseException as error:
            current.error = error
            if current is self._default:  # no run will do it: the next query starts afresh
                self._engine.recover()
                current.tally = Tally()
            raise
        return task, count, asked, answers

    def _task(self, called: str) -> Task:
        """The task behind a function of the database."""
        if called.lower() not in self._registry.tasks:
            raise OptionError(
                f"task {called!r} is not defined here: if it is one in Python, run its code and "
                f"distil_sql.register_task(con, {called}) before it is called"
            )
        return self._registry.task(called)

    def _render(
        self, task: Task, current: Pass, columns: Sequence[pa.ChunkedArray]
    ) -> tuple[list[Asked], dict[str, Callable[[], Call]]]:
        models, samples, counts = (columns[i].to_pylist() for i in (2, 3, 4))
        asked: list[Asked] = []
        calls: dict[str, Callable[[], Call]] = {}
        required = [task.arguments[i].name for i in task.required]
        askers: dict[str | None, Asker | None] = {}  # None: a pool, which is dealt call by call
        for row, values in enumerate(_rows(task, columns[5:], len(models))):
            null = next((name for name in required if values[name] is None), None)
            if null is not None or samples[row] is None or counts[row] is None:
                asked.append(Asked([], f"argument {null or 'sample'!r} is NULL, so no call was made"))
                continue
            try:
                messages = task.messages(values)
            except TemplateError as error:
                asked.append(Asked([], str(error)))
                continue
            text = _as_json(messages)
            model = models[row]
            if model not in askers:
                askers[model] = self._asker(task, model)
            keys = []
            for sample in range(samples[row], samples[row] + counts[row]):
                asker = askers[model] or self._dealt(task, model, text, sample)
                key = asker.keys.key(text, sample)
                keys.append(key)
                if key not in calls:
                    calls[key] = _Maker(key, task, asker, messages, text, sample, current, values)
            asked.append(Asked(keys, None, values))
        return asked, calls

    def _settle(
        self, current: Pass, calls: dict[str, Callable[[], Call]], look_up: Callable[[Sequence[str]], Any]
    ) -> dict[str, tuple[Any, ...]]:
        if current.keys is not None:
            current.keys.extend(calls)
        if current.mode is Mode.REPLAY and not current.asks:
            answers = _answered(current, look_up, list(calls))
            if len(answers) < len(calls):
                raise Missing
            return answers
        if current.mode is Mode.PLAN:
            answers = _answered(current, look_up, list(calls))
            planned = [calls[key]() for key in calls if key not in answers]
            return answers | {call.key: _stand_in(call, current.plan(call)) for call in planned if current.plan}
        with self._asking:  # nobody may ask between our look into the ledger and our asking
            going = self._engine.pending(calls)
            answers = _answered(current, look_up, [key for key in calls if key not in going])
            missing = [key for key in calls if key not in answers and key not in going]
            waiting = [*going.values(), *(self._engine.submit([calls[key]() for key in missing]) if missing else ())]
        if current.mode is Mode.REPLAY and waiting:
            raise Missing
        if current.mode is Mode.BLOCKING and waiting:
            self._engine.wait(waiting)
            answers |= look_up([call.key for call in waiting])
        return answers

    def _asker(self, task: Task, asked: str | None) -> Asker | None:
        spec = self._registry.model_for(task, asked)
        return None if spec.type == "pool" else self._asker_of(task, spec)

    def _dealt(self, task: Task, asked: str | None, messages: str, sample: int) -> Asker:
        members = self._registry.model_for(task, asked).options["models"]
        member = deal(members, _stable_hash(messages), sample)  # type: ignore[arg-type]
        return self._asker_of(task, self._registry.model(member))

    def _asker_of(self, task: Task, spec: ModelSpec) -> Asker:
        known = self._askers.get((id(task), id(spec)))
        if known is not None and known[0] is task and known[1] is spec:
            return known[2]
        request = request_for(task, spec)
        asker = Asker(spec, request, keys_for(spec, request))
        self._askers[id(task), id(spec)] = (task, spec, asker)
        return asker


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes a call when it turns out that one is needed."""

    key: str
    task: Task
    asker: Asker
    messages: tuple[Message, ...]
    text: str
    sample: int
    current: Pass
    values: dict[str, Any]

    def __call__(self) -> Call:
        common = self.asker.request
        request = Request(self.messages, common.sampling, common.schema, self.sample, common.embeds, self.text)
        spec, current = self.asker.spec, self.current
        read = {argument.name: self.values[argument.name] for argument in self.task.parse_inputs}
        return Call(self.key, self.task, spec, request, self.text, current.run_id, current.tally, read)


_FIRST_ROWS = 128
_NO_TASK = Task("", "generator", (), "VARCHAR", "")


def _is_answered(row: Asked, answers: Mapping[str, object]) -> bool:
    """Whether all of a row's calls are: a list with gaps would be an argument that some task around this one takes."""
    return row.reason is None and all(key in answers for key in row.keys)


def _stand_in(call: Call, response: str) -> tuple[Any, ...]:
    """A row of the ledger as the readers expect it, for a call that nobody made."""
    return (call.key, response, "ok", None, None, None, "stop", call.model.name, call.messages, 0, 0, 0, None, None)


def _as_json(messages: Sequence[Message]) -> str:
    """The messages as compact JSON, part by part: `json.dumps` would take four times as long."""
    parts = [f'{{"role":"{message["role"]}","content":{_escaped(message["content"])}}}' for message in messages]
    return f"[{','.join(parts)}]"


def _answered(
    current: Pass, look_up: Callable[[Sequence[str]], Any], keys: Sequence[str]
) -> dict[str, tuple[Any, ...]]:
    """What the ledger holds for these keys, without the failures that are to be asked again."""
    found: dict[str, tuple[Any, ...]] = look_up(keys)
    answers = {key: answer for key, answer in found.items() if not asks_again(answer, current.run_id)}
    if current.counts_hits:
        hits = [answer for answer in answers.values() if not (current.tally.ahead and answer[4] == current.run_id)]
        current.tally.add(hits=len(hits), failed_hits=sum(answer[2] != "ok" for answer in hits))
    return answers


def _rows(task: Task, columns: Sequence[pa.ChunkedArray], count: int) -> list[dict[str, Any]]:
    names = [argument.name for argument in task.arguments]
    if len(columns) != len(names):
        raise OptionError(f"task {task.name!r} was changed by another connection: open the database again")
    if not names:
        return [{} for _ in range(count)]
    return [dict(zip(names, row, strict=True)) for row in zip(*map(_values, columns), strict=True)]


def _values(column: pa.ChunkedArray) -> list[Any]:
    """A column's values as a template sees them: a MAP is a dict, a FLOAT the number that SQL prints."""
    if pa.types.is_map(column.type):
        return [None if value is None else dict(value) for value in column.to_pylist()]
    if pa.types.is_float32(column.type):
        return [None if value is None else float(value) for value in column.cast(pa.string()).to_pylist()]
    return column.to_pylist()  # type: ignore[no-any-return]


def _stable_hash(text: str) -> int:
    import zlib

    return zlib.crc32(text.encode("utf-8", "surrogatepass"))
