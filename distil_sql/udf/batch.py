"""A batch of rows that call a task: their prompts, the keys of their calls, and those calls that have to be made."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from distil_sql.engine import Call, Keys, keys_for
from distil_sql.errors import OptionError
from distil_sql.models.base import Request
from distil_sql.models.options import ModelSpec
from distil_sql.prompt.template import TemplateError
from distil_sql.task import Task
from distil_sql.task.rendering import rendered
from distil_sql.udf.passes import Pass


@dataclass(frozen=True)
class Asker:
    """A model as one task uses it: what every request of theirs has in common."""

    spec: ModelSpec
    request: Request
    keys: Keys

    def asking_for(self, schema: Mapping[str, Any]) -> Asker:
        """The same with another JSON schema for the answer, which one row asks for."""
        request = replace(self.request, schema=schema)
        return Asker(self.spec, request, keys_for(self.spec, request))


class Batch:
    """Rows of one task, in order. `keys` has a row's calls, one a sample, or None where it has none: see `reasons`."""

    def __init__(
        self,
        task: Task,
        columns: Sequence[pa.ChunkedArray],
        asker: Callable[[str | None, str, int], Asker],
        lasting: Callable[[str | None], Asker | None],
    ) -> None:
        """`columns` are model, sample, number of samples and the arguments, as the internal functions get them.

        `asker(model, prompt, sample)` says who answers a call; `lasting(model)` who answers all of that model's, or
        None where that differs from call to call.
        """
        self.task = task
        models, samples, counts = (column.to_pylist() for column in columns[:3])
        self._columns = columns_of(task, columns[3:])
        self.keys: list[tuple[str, ...] | None] = []
        self.reasons: dict[int, str] = self._nulls(samples, counts)
        self._texts = rendered(task, self._columns, len(models), without=self.reasons)
        self._asked: dict[str, tuple[int, int, Asker]] = {}
        askers: dict[str | None, Asker | None] = {}
        reasons, asked, keys = self.reasons, self._asked, self.keys
        for row, (model, sample, count, text) in enumerate(zip(models, samples, counts, self._texts, strict=True)):
            if row in reasons or not isinstance(text, str):
                reasons.setdefault(row, str(text))
                keys.append(None)
                continue
            try:
                schema = task.schema(self.values(row)) if task.schema_by_row else None
            except TemplateError as error:
                reasons[row] = str(error)
                keys.append(None)
                continue
            if model not in askers:  # of rows that make a call alone: without one, a model need not be there
                askers[model] = lasting(model)
            always = askers[model]
            made = []
            for number in range(sample, sample + count):
                who = always or asker(model, text, number)
                if schema is not None:
                    who = who.asking_for(schema)
                key = who.keys.key(text, number)
                made.append(key)
                if key not in asked:
                    asked[key] = (row, number, who)
            keys.append(tuple(made))

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def asked(self) -> Collection[str]:
        """The keys of all calls, each once, in the order of the rows."""
        return self._asked.keys()

    def values(self, row: int) -> dict[str, Any]:
        """A row's arguments by name."""
        return {name: column[row] for name, column in self._columns.items()}

    def call(self, key: str, current: Pass) -> Call:
        """The call behind a key, to be made for a pass."""
        row, sample, asker = self._asked[key]
        text, common = self._texts[row], asker.request
        assert isinstance(text, str)
        messages = tuple(json.loads(text))  # not rendered again: a function of Python's might write another text
        request = Request(messages, common.sampling, common.schema, sample, common.embeds, text)
        read = {argument.name: self._columns[argument.name][row] for argument in self.task.parse_inputs}
        return Call(key, self.task, asker.spec, request, text, current.run_id, current.tally, read)

    def is_answered(self, row: int, answers: Mapping[str, object]) -> bool:
        """Whether all of a row's calls are: a list with gaps would be an argument that a task around this one takes."""
        keys = self.keys[row]
        if keys is None:
            return False
        return keys[0] in answers if len(keys) == 1 else all(key in answers for key in keys)

    def _nulls(self, samples: Sequence[int | None], counts: Sequence[int | None]) -> dict[int, str]:
        """Why rows with a NULL, where there may be none, make no call."""
        needed: dict[str, Sequence[Any]] = {
            self.task.arguments[i].name: self._columns[self.task.arguments[i].name] for i in self.task.required
        }
        found: dict[int, str] = {}
        for name, column in [*needed.items(), ("sample", samples), ("sample", counts)]:
            if None in column:
                for row, value in enumerate(column):
                    if value is None:
                        found.setdefault(row, f"argument {name!r} is NULL, so no call was made")
        return found


def columns_of(task: Task, columns: Sequence[pa.ChunkedArray]) -> dict[str, list[Any]]:
    """The arguments' values by name, as templates see them."""
    names = [argument.name for argument in task.arguments]
    if len(columns) != len(names):
        raise OptionError(f"task {task.name!r} was changed by another connection: open the database again")
    return {name: _values(column) for name, column in zip(names, columns, strict=True)}


def _values(column: pa.ChunkedArray) -> list[Any]:
    """A column's values as a template sees them: a MAP is a dict, a FLOAT the number that SQL prints."""
    if pa.types.is_map(column.type):
        return [None if value is None else dict(value) for value in column.to_pylist()]
    if pa.types.is_float32(column.type):
        return [None if value is None else float(value) for value in column.cast(pa.string()).to_pylist()]
    return column.to_pylist()  # type: ignore[no-any-return]
