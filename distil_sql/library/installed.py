"""Tasks that installed packages bring: entry points of the group `distil_sql.tasks`.

    [project.entry-points."distil_sql.tasks"]
    acme = "acme_tasks"            # a package whose folder holds .sql files, or "module:attribute" with a path or paths

They are found when a database is opened, and written into it where that has not been done yet; `distil.meta` keeps a
stamp for each. What is wrong with one is told as a warning, and everything else goes on.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import duckdb

from distil_sql.errors import ScriptError
from distil_sql.library.sets import Macro, TaskSet, Unfit, put_set, read_file, sql_files, twice, warn
from distil_sql.registry import Registry
from distil_sql.script import CreateTask
from distil_sql.task import nearest
from distil_sql.udf.macros import FORM, drop_macros

GROUP = "distil_sql.tasks"


@dataclass(frozen=True)
class Package:
    """One entry point. `name` goes before its tasks' names, `label` is the distribution with its version."""

    name: str
    label: str
    version: str
    entry: EntryPoint

    @property
    def origin(self) -> str:
        return f"package {self.name} {self.version}"

    def files(self) -> list[Path]:
        """Its `.sql` files; raises ScriptError where there are none."""
        try:
            found = [file for place in _places(self.entry) for file in sql_files(Path(place))]
        except Exception as error:  # it is other people's code
            raise ScriptError(f"{self.entry.value} cannot be loaded: {error!r}", file=self.label) from None
        if not found:
            raise ScriptError(f"{self.entry.value} holds no .sql file", file=self.label)
        return found


def packages() -> list[Package]:
    """What is installed, by name; the first of two that share one."""
    found: dict[str, Package] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        called = re.sub(r"\W+", "_", entry.name).strip("_").lower()
        if called and called not in found:
            version = entry.dist.version if entry.dist else "0"
            label = f"{entry.dist.name} {version}" if entry.dist else entry.value
            found[called] = Package(called, label, version, entry)
    return list(found.values())


def find_package(wanted: str) -> tuple[Package | None, str]:
    """A package by the name of its entry point or of its distribution; else a hint."""
    installed = packages()
    called = re.sub(r"\W+", "_", wanted).strip("_").lower()
    for package in installed:
        distribution = package.entry.dist.name if package.entry.dist else ""
        if called in (package.name, re.sub(r"\W+", "_", distribution).lower()):
            return package, ""
    names = [package.name for package in installed]
    hint = nearest(wanted, names) or (f"; there is {', '.join(names)}" if names else ": install one that does")
    return None, hint


def read_package(package: Package, prefix: str | None = None) -> TaskSet:
    """All of a package; raises ScriptError at the first thing that is wrong."""
    tasks, problems = _read(package)
    if problems:
        raise problems[0]
    if prefix is None:
        return tasks
    origin = f"package {package.name} as {prefix} {package.version}"
    return TaskSet(prefix, origin, tasks.macros, tasks.tasks, alone=True)


def refresh(con: duckdb.DuckDBPyConnection, registry: Registry) -> set[str]:
    """Bring the tasks of installed packages up to date, and give their lower-case names; warns of what cannot be."""
    theirs: set[str] = set()
    for package in packages():
        key = f"package {package.name}"
        held = con.execute("SELECT value FROM distil.meta WHERE key = ?", [key]).fetchone()
        state = json.loads(held[0]) if held else {}
        try:
            stamp = _stamp(package.version, package.files())
        except ScriptError as error:
            warn(str(error))
            continue
        if state.get("stamp") != stamp or not all(name in registry.tasks for name in state["tasks"]):
            state = _write(con, registry, package, stamp, key)
        theirs.update(name for name in state["tasks"] if registry.origins.get(name) == package.origin)
        for problem in state["problems"]:
            warn(problem)
    return theirs


def _write(
    con: duckdb.DuckDBPyConnection, registry: Registry, package: Package, stamp: str, key: str
) -> dict[str, Any]:
    """Define a package's tasks, but for those that cannot be, in one transaction with the stamp."""
    tasks, unread = _read(package)
    problems = [str(error) for error in unread]
    while True:
        con.execute("BEGIN")
        try:
            told: list[str] = []
            names = [name.lower() for name in put_set(con, registry, tasks, tell=told.append)]
            for gone in [name for name, origin in registry.origins.items() if origin.rsplit(" ", 1)[0] == key]:
                if gone not in names and (dropped := registry.drop(con, "task", gone, if_exists=True)):
                    drop_macros(con, dropped)
            state: dict[str, Any] = {"stamp": stamp, "tasks": names, "problems": problems + told}
            con.execute("DELETE FROM distil.meta WHERE key = ?", [key])
            con.execute("INSERT INTO distil.meta VALUES (?, ?)", [key, json.dumps(state)])
            con.execute("COMMIT")
            return state
        except Unfit as unfit:
            _give_up(con, registry)
            problems.append(str(unfit.statement.error(unfit.message)))
            tasks = tasks.without(unfit.statement)
        except BaseException:
            _give_up(con, registry)
            raise


def _give_up(con: duckdb.DuckDBPyConnection, registry: Registry) -> None:
    con.execute("ROLLBACK")
    registry.load(con)


def _read(package: Package) -> tuple[TaskSet, list[ScriptError]]:
    """What a package holds, and what is wrong with the files that are left out."""
    macros: list[Macro] = []
    tasks: list[CreateTask] = []
    problems: list[ScriptError] = []
    try:
        files = package.files()
    except ScriptError as error:
        return TaskSet(package.name, package.origin), [error]
    for file in files:
        try:
            its_macros, its_tasks = read_file(file, f"{package.label}, {file.name}")
        except ScriptError as error:
            problems.append(error)
            continue
        macros += its_macros
        tasks += its_tasks
    for again, sentence in list(twice(tasks)):
        problems.append(sentence)
        tasks.remove(again)
    return TaskSet(package.name, package.origin, tuple(macros), tuple(tasks), both=True), problems


def stamp_of_all() -> str:
    """Changes with whatever installed packages bring."""
    stamps = []
    for package in packages():
        try:
            stamps.append(f"{package.name} {_stamp(package.version, package.files())}")
        except ScriptError as error:
            stamps.append(str(error))
    return "\n".join(stamps)


def _places(entry: EntryPoint) -> Iterable[str | os.PathLike[str]]:
    """The folders and files that an entry point names; a package is found without being imported."""
    if entry.attr:
        value = entry.load()
        return [value] if isinstance(value, str | os.PathLike) else list(value)
    spec = importlib.util.find_spec(entry.module)
    if spec is None:
        raise ModuleNotFoundError(f"there is no module {entry.module}")
    return list(spec.submodule_search_locations or ())


def _stamp(version: str, files: Iterable[Path]) -> str:
    digest = hashlib.sha256(f"{FORM}\0{version}".encode())
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
