"""Models and tasks of one database: `distil.models` and `distil.tasks`, and a copy in memory.

The tables are the truth; every change goes through here, in the caller's transaction, so that the copy stays right.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import asdict, replace

import duckdb

from distil_sql.errors import OptionError
from distil_sql.models.options import ModelSpec
from distil_sql.task import Argument, Task, nearest

SUFFIXES = ("", "_n", "_details", "_prompt")
"""The functions a task makes: its name with each of these."""

BUILT_IN = "built-in"
"""`origin` of the tasks that the library brings; those of packages and folders have theirs, a user's own none."""


class Registry:
    """What is defined. `overrides` holds the `generator`/`labeller` that a run names in place of the defaults."""

    def __init__(self) -> None:
        self.models: dict[str, ModelSpec] = {}
        self.tasks: dict[str, Task] = {}
        self.overrides: dict[str, str] = {}
        self.origins: dict[str, str] = {}  # of the tasks that came with the library, a package or a folder
        self.in_python: dict[str, Task] = {}

    def load(self, con: duckdb.DuckDBPyConnection) -> None:
        """Read both tables."""
        rows = con.execute("SELECT name, type, options, version FROM distil.models").fetchall()
        self.models = {row[0].lower(): ModelSpec(row[0], row[1], json.loads(row[2]), row[3]) for row in rows}
        columns = "name, kind, arguments, returns, prompt, system, parse, model, options, version, origin"
        tasks = con.execute(f"SELECT {columns} FROM distil.tasks").fetchall()
        self.tasks = {row[0].lower(): _task(row) for row in tasks}
        self.tasks |= self.in_python  # no table holds them
        self.origins = {row[0].lower(): row[10] for row in tasks if row[10] and row[0].lower() not in self.in_python}

    @property
    def built_in(self) -> set[str]:
        """The lower-case names of the tasks that the library brought."""
        return {name for name, origin in self.origins.items() if origin == BUILT_IN}

    def copy(self) -> Registry:
        """A registry that can be changed without touching this one (checking a script does)."""
        other = Registry()
        other.models, other.tasks, other.overrides = dict(self.models), dict(self.tasks), dict(self.overrides)
        other.origins, other.in_python = dict(self.origins), dict(self.in_python)
        return other

    # -- looking up -------------------------------------------------------------------------------------------------

    def task(self, name: str) -> Task:
        """A task by name; OptionError suggests the nearest."""
        task = self.tasks.get(name.lower())
        if task is None:
            raise OptionError(f"there is no task {name!r}{nearest(name, self.tasks)}")
        return task

    def model(self, name: str) -> ModelSpec:
        """A model by name; OptionError suggests the nearest."""
        spec = self.models.get(name.lower())
        if spec is None:
            raise OptionError(f"there is no model {name!r}{nearest(name, self.models) or ': CREATE MODEL makes one'}")
        return spec

    def model_for(self, task: Task, asked: str | None) -> ModelSpec:
        """Which model answers: the call's, else the run's flag, else the task's, else the one named for its kind."""
        name = asked or self.overrides.get(task.kind) or task.model or task.kind
        if name.lower() not in self.models:
            hint = nearest(name, self.models)
            if name == task.kind and not asked:
                raise OptionError(
                    f"task {task.name!r} has no model: CREATE MODEL {task.kind} (TYPE …), or name one with model := '…'"
                )
            raise OptionError(f"task {task.name!r} asks for model {name!r}, which does not exist{hint}")
        return self.model(name)

    def function_task(self, function: str) -> tuple[Task, str] | None:
        """The task and suffix behind a SQL function name, if it is a task's."""
        lowered = function.lower()
        for suffix in SUFFIXES:
            stem = lowered.removesuffix(suffix) if suffix else lowered
            if lowered.endswith(suffix) and stem in self.tasks:
                return self.tasks[stem], suffix
        return None

    def functions(self) -> Iterable[str]:
        """Every function name that the tasks make."""
        return (task.name + suffix for task in self.tasks.values() for suffix in SUFFIXES)

    # -- changing ---------------------------------------------------------------------------------------------------

    def put_model(self, con: duckdb.DuckDBPyConnection | None, spec: ModelSpec, *, replace_it: bool) -> ModelSpec:
        """Add or replace a model (in memory alone where `con` is None); the version grows when something changed."""
        old = self.models.get(spec.name.lower())
        if old is not None and not replace_it:
            raise OptionError(f"model {spec.name!r} exists: say CREATE OR REPLACE MODEL, or IF NOT EXISTS")
        for member in spec.options.get("models") or [] if spec.type == "pool" else []:  # type: ignore[attr-defined]
            if self.model(member).type == "pool" or member.lower() == spec.name.lower():
                raise OptionError(f"pool {spec.name!r} cannot hold another pool, {member!r}")
        if old is not None:
            same = (old.type, dict(old.options)) == (spec.type, dict(spec.options))
            spec = replace(spec, version=old.version if same else old.version + 1)
        if con is not None and spec != old:
            if old is not None and old.name != spec.name:
                con.execute("DELETE FROM distil.models WHERE name = ?", [old.name])
            values = [spec.name, spec.type, json.dumps(dict(spec.options)), spec.version, _now()]
            con.execute("INSERT OR REPLACE INTO distil.models VALUES (?, ?, ?, ?, ?)", values)
        self.models[spec.name.lower()] = spec
        return spec

    def put_task(
        self, con: duckdb.DuckDBPyConnection | None, task: Task, *, replace_it: bool, origin: str | None = None
    ) -> Task:
        """Add or replace a task (in memory alone where `con` is None); the version grows when something changed.

        One that came with an `origin` may always be replaced.
        """
        old = self.tasks.get(task.name.lower())
        if old is not None and not replace_it and old.name.lower() not in self.origins:
            raise OptionError(f"task {task.name!r} exists: say CREATE OR REPLACE, or IF NOT EXISTS")
        for suffix in SUFFIXES:
            taken = self.function_task(task.name + suffix)
            if taken is not None and taken[0].name.lower() != task.name.lower():
                raise OptionError(f"{task.name + suffix!r} is already a function of task {taken[0].name!r}: rename one")
        if old is not None:
            task = replace(task, version=old.version)
            task = task if task == old else replace(task, version=old.version + 1)
        if con is not None and (task != old or origin != self.origins.get(task.name.lower())):
            if old is not None and old.name != task.name:
                con.execute("DELETE FROM distil.tasks WHERE name = ?", [old.name])
            row = [task.name, task.version, task.kind, json.dumps([asdict(a) for a in task.arguments]), task.returns]
            row += [task.system, task.prompt, task.parse, task.model, json.dumps(dict(task.options)), _now(), origin]
            con.execute(f"INSERT OR REPLACE INTO distil.tasks VALUES ({', '.join('?' * len(row))})", row)
        self.tasks[task.name.lower()] = task
        self.in_python.pop(task.name.lower(), None)
        if task.in_python:
            self.in_python[task.name.lower()] = task
        self.origins.pop(task.name.lower(), None)
        if origin is not None:
            self.origins[task.name.lower()] = origin
        return task

    def drop(self, con: duckdb.DuckDBPyConnection | None, what: str, name: str, *, if_exists: bool) -> Task | None:
        """Remove a model or task; gives the task removed."""
        held: dict[str, ModelSpec] | dict[str, Task] = self.models if what == "model" else self.tasks
        found = held.pop(name.lower(), None)
        if found is None:
            if not if_exists:
                raise OptionError(f"there is no {what} {name!r} to drop{nearest(name, held)}")
            return None
        if what == "task":
            self.in_python.pop(name.lower(), None)
            self.origins.pop(name.lower(), None)
        if con is not None:
            con.execute(f"DELETE FROM distil.{what}s WHERE name = ?", [found.name])
        return found if isinstance(found, Task) else None


def _task(row: tuple[str, ...]) -> Task:
    name, kind, arguments, returns, prompt, system, parse, model, options, version, _ = row
    return Task(
        name=name,
        kind=kind,
        arguments=tuple(Argument(**argument) for argument in json.loads(arguments)),
        returns=returns,
        prompt=prompt,
        system=system,
        parse=parse,
        model=model,
        options=json.loads(options),
        version=int(version),
    )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)
