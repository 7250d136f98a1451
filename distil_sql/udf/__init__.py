"""The internal functions behind every task: Arrow batches in, calls asked for or looked up, Arrow batches out.

`Functions(…).register(root)` creates `distil_response`, `distil_details`, `distil_prompt` and `distil_vector`, once per
database, on a connection that lives as long as the database is open (DuckDB crashes if it goes first).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa

from distil_sql.engine import Call, Engine, Tally, keys_for, request_for
from distil_sql.errors import OptionError, RunError
from distil_sql.ledger import Ledger, asks_again
from distil_sql.models.options import ModelSpec
from distil_sql.models.pool import deal
from distil_sql.prompt.template import TemplateError
from distil_sql.registry import Registry
from distil_sql.task import Task
from distil_sql.udf.batch import Asker, Batch, columns_of
from distil_sql.udf.details import DETAIL, DETAIL_SQL, shown, unasked
from distil_sql.udf.doors import Doors, check_process, doors_on
from distil_sql.udf.passes import Missing, Mode, Pass, Passes
from distil_sql.udf.reading import reader_of
from distil_sql.udf.vectors import read_vectors

Watcher = Callable[[Tally], AbstractContextManager[object]]
"""Shows how a query's calls come along while it waits for some of them; calls of several threads overlap."""

_FUNCTIONS = {
    "distil_response": "VARCHAR[]",
    "distil_details": DETAIL_SQL,
    "distil_prompt": "VARCHAR",
    "distil_vector": "FLOAT[]",
}


class Functions:
    """The internal functions of one database."""

    def __init__(self, registry: Registry, ledger: Ledger, engine: Engine, default: Pass) -> None:
        self._registry, self._ledger, self._engine, self._default = registry, ledger, engine, default
        self.passes = Passes()
        self.doors: Doors | None = None
        self._shut = False
        self._behind: dict[str, Callable[..., Any]] = {
            "distil_response": self._respond,
            "distil_details": self._detail,
            "distil_prompt": self._show_prompt,
            "distil_vector": read_vectors,
        }
        self.watcher: Watcher = lambda tally: nullcontext()
        self._asking, self._counting = threading.Lock(), threading.Lock()
        self._waiting = 0
        self._askers: dict[tuple[int, int], tuple[Task, ModelSpec, Asker]] = {}

    def register(self, root: duckdb.DuckDBPyConnection) -> None:
        """Create the functions, or take over those that the database has from a session before."""
        doors = doors_on(root)
        if doors is None:
            doors = Doors()
            doors.install(root, _FUNCTIONS)
        check_process(doors.pid)
        self.doors = doors
        doors.open(self._behind)

    @property
    def is_busy(self) -> bool:
        """Whether a query waits for calls."""
        return self._waiting > 0

    def interrupt(self) -> None:
        """Let the queries that wait for calls fail, and make no more of those calls; nothing where none waits."""
        if self._waiting:
            self._engine.interrupt()

    def shut(self) -> None:
        """Let no call in any more: from here on, one is an error."""
        self._shut = True
        if self.doors is not None:
            self.doors.shut(self._behind)

    def emptied(self, timeout_s: float) -> None:
        """Wait until the calls inside have left; the engine has to be stopped before."""
        if self.doors is not None:
            self.doors.emptied(timeout_s)

    # -- the functions themselves ------------------------------------------------------------------------------------

    def _respond(self, *columns: pa.ChunkedArray) -> pa.Array:
        task, batches, answers = self._answers(columns, self._ledger.lookup)
        reader = reader_of(task)
        read: dict[str, str | None] = {}
        values: list[list[str | None] | None] = []
        for batch in batches:
            for row, keys in enumerate(batch.keys):
                if keys is None or not batch.is_answered(row, answers):
                    values.append(None)
                    continue
                given = batch.values(row) if task.reads_in_python else _NOTHING
                for key in keys:
                    if key not in read or task.reads_in_python:  # which may read arguments that are not in the prompt
                        _, response, status, kind, *_ = answers[key]
                        usable = response is not None and (status == "ok" or task.usable(status, kind))
                        read[key] = reader(response, given) if usable else None
                values.append([read[key] for key in keys])
        return pa.array(values, pa.list_(pa.string()))

    def _detail(self, *columns: pa.ChunkedArray) -> pa.Array:
        task, batches, answers = self._answers(columns, self._ledger.details)
        reader = reader_of(task)
        values: list[list[dict[str, Any]] | None] = []
        for batch in batches:
            for row, keys in enumerate(batch.keys):
                if keys is None:
                    values.append([unasked(batch.reasons[row])])
                elif batch.is_answered(row, answers):
                    given = batch.values(row) if task.reads_in_python else _NOTHING
                    values.append([shown(task, reader, answers[key], given) for key in keys])
                else:
                    values.append(None)
        return pa.array(values, pa.list_(DETAIL))

    def _show_prompt(self, *columns: pa.ChunkedArray) -> pa.Array:
        from distil_sql.prompt.formats import format_messages

        if not len(columns[0]):
            return pa.array([], pa.string())
        task = self._task(columns[0][0].as_py())
        formats = columns[1].to_pylist()
        shown: list[str | None] = []
        given = columns_of(task, columns[3:])
        for row, format_ in enumerate(formats):
            values = {name: column[row] for name, column in given.items()}
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
    ) -> tuple[Task, list[Batch], dict[str, tuple[Any, ...]]]:
        """Render a batch, find its answers, and do about the missing ones what the pass says."""
        count = len(columns[0])
        token = columns[1][0].as_py() if count else None
        current = self.passes.get(token, self._default)
        try:
            task = self._task(columns[0][0].as_py()) if count else _NO_TASK
            batches: list[Batch] = []
            answers: dict[str, tuple[Any, ...]] = {}
            awaited: list[Call] = []
            for start, rows in ((0, min(count, _FIRST_ROWS)), (_FIRST_ROWS, count - _FIRST_ROWS)):
                if rows > 0:  # the first calls are on their way while the others are rendered
                    part = [column.slice(start, rows) for column in columns[2:]]
                    batch = Batch(task, part, partial(self._dealt, task), partial(self._asker, task))
                    batches.append(batch)
                    found, waiting = self._settle(current, batch, look_up)
                    answers |= found
                    awaited += waiting
            if awaited:
                with self.watcher(current.tally):
                    self._wait(awaited)
                answers |= look_up([call.key for call in awaited])
            if current is self._default and self._engine.policy.on_error == "fail":
                _check_all_ok(task, answers)  # DuckDB tries a constant call first, and hides what that raises
            if current.counts_hits and (verdict := self._engine.policy.verdict_on_hits(current.tally, task.name)):
                raise verdict
        except BaseException as error:
            current.error = error
            if current is self._default and not self._shut:  # no run will do it: the next query starts afresh
                if isinstance(error, KeyboardInterrupt):
                    self._engine.interrupt()  # or the calls that are queued would be made all the same
                self._engine.recover()
                current.tally = Tally()
            raise
        return task, batches, answers

    def _wait(self, calls: Sequence[Call]) -> None:
        with self._counting:
            self._waiting += 1
        try:
            self._engine.wait(calls)
            self._engine.check()  # the last call of all may be the one that failed too many
        finally:
            with self._counting:
                self._waiting -= 1

    def _task(self, called: str) -> Task:
        """The task behind a function of the database."""
        if called.lower() not in self._registry.tasks:
            raise OptionError(
                f"task {called!r} is not defined here: if it is one in Python, run its code and "
                f"distil_sql.register_task(con, {called}) before it is called"
            )
        return self._registry.task(called)

    def _settle(
        self, current: Pass, batch: Batch, look_up: Callable[[Sequence[str]], Any]
    ) -> tuple[dict[str, tuple[Any, ...]], list[Call]]:
        """The answers that there are, and the calls that have to be waited for."""
        calls = batch.asked
        if current.keys is not None:
            current.keys.extend(calls)
        if current.mode is Mode.REPLAY and not current.asks:
            answers = _answered(current, look_up, list(calls))
            if len(answers) < len(calls):
                raise Missing
            return answers, []
        if current.mode is Mode.PLAN:
            answers = _answered(current, look_up, list(calls))
            planned = [batch.call(key, current) for key in calls if key not in answers]
            pretended = {call.key: _stand_in(call, current.plan(call)) for call in planned if current.plan}
            return answers | pretended, []
        with self._asking:  # nobody may ask between our look into the ledger and our asking
            going = self._engine.pending(calls)
            answers = _answered(current, look_up, [key for key in calls if key not in going])
            missing = [key for key in calls if key not in answers and key not in going]
            waiting = [
                *going.values(),
                *(self._engine.submit([batch.call(key, current) for key in missing]) if missing else ()),
            ]
        if current.mode is Mode.REPLAY and waiting:
            raise Missing
        return answers, waiting if current.mode is Mode.BLOCKING else []

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


_FIRST_ROWS = 128
_NOTHING: Mapping[str, Any] = {}
_NO_TASK = Task("", "generator", (), "VARCHAR", "")


def _check_all_ok(task: Task, answers: Mapping[str, tuple[Any, ...]]) -> None:
    for answer in answers.values():
        if answer[2] != "ok":
            raise RunError(f"task {task.name!r} failed on a row ({answer[3]}): distil.calls says why")


def _stand_in(call: Call, response: str) -> tuple[Any, ...]:
    """A row of the ledger as the readers expect it, for a call that nobody made."""
    return (call.key, response, "ok", None, None, None, "stop", call.model.name, call.messages, 0, 0, 0, None, None, 0)


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


def _stable_hash(text: str) -> int:
    import zlib

    return zlib.crc32(text.encode("utf-8", "surrogatepass"))
