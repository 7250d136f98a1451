"""The shipped SQL in a user's database: the macros of `sql/macros/`, the tasks of `sql/tasks/`, one file a task.

`install(con, registry)` brings both up to date when a database is opened, and looks at a stamp alone where they are;
so it does for the tasks of installed packages (`installed`). A task or macro of the user's own keeps its name.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import duckdb

from distil_sql.errors import DistilError
from distil_sql.library import installed
from distil_sql.library.sets import MACRO_MARK, Macro, functions_of, is_free, read_macro
from distil_sql.registry import BUILT_IN, Registry
from distil_sql.resources import read_sql, sql_folder
from distil_sql.script import CreateTask, Source, Sql, read_script
from distil_sql.task import Task
from distil_sql.udf.macros import FORM, macro_statements

_ORIGIN = "library"


@dataclass(frozen=True)
class Library:
    """What the files hold, in the order of their names; `papers` by lower-case name of the task."""

    macros: tuple[Macro, ...]
    tasks: tuple[Task, ...]
    papers: dict[str, str]


def install(con: duckdb.DuckDBPyConnection, registry: Registry) -> None:
    """Write what is missing or has changed, each source in one transaction with the stamp that says so."""
    anew = _install_library(con, registry)
    theirs = installed.refresh(con, registry)
    others = registry.tasks.keys() - registry.built_in - (set() if anew else theirs)
    if others:
        _restore(con, registry, others if anew else others - functions_of(con).keys())


def _install_library(con: duckdb.DuckDBPyConnection, registry: Registry) -> bool:
    """The shipped files; gives whether they had to be written."""
    todays = stamp()
    held = con.execute("SELECT value FROM distil.meta WHERE key = 'library'").fetchone()
    current, _, skipped = held[0].partition(":") if held else ("", "", "")
    left_out = skipped.split(",")
    if current == todays and all(file.stem in registry.tasks or file.stem in left_out for file in _files("tasks")):
        return False
    library = read_library()
    con.execute("BEGIN")
    try:
        existing = functions_of(con)
        _write(con, [statement for macro in library.macros for statement in _macro(macro, existing)])
        ours = [t for t in library.tasks if is_free(t.name, registry, existing, lambda origin: origin == BUILT_IN)]
        for task in ours:
            registry.put_task(con, task, replace_it=True, origin=BUILT_IN)
        _write(con, [statement for task in ours for statement in macro_statements(con, task)])
        names = ",".join(task.name for task in library.tasks if task not in ours)
        con.execute("DELETE FROM distil.meta WHERE key = 'library'")
        con.execute("INSERT INTO distil.meta VALUES ('library', ?)", [f"{todays}:{names}"])
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        registry.load(con)
        raise
    return True


def _restore(con: duckdb.DuckDBPyConnection, registry: Registry, missing: Set[str]) -> None:
    """Write the functions of these tasks; one that cannot be written says so when it is used."""
    for lowered in sorted(missing):
        with contextlib.suppress(duckdb.Error, DistilError):
            _write(con, macro_statements(con, registry.tasks[lowered]))


@lru_cache(maxsize=1)
def read_library() -> Library:
    """Every macro and task of the shipped files."""
    macros: list[Macro] = []
    tasks: list[Task] = []
    papers: dict[str, str] = {}
    for file in _files("macros"):
        for statement in read_script(Source(file.read_text(encoding="utf-8"), file.name)):
            macro = read_macro(statement)
            if macro is None:
                raise DistilError(f"{file.name}:{statement.line}: only CREATE OR REPLACE MACRO belongs here")
            macros.append(macro)
    for file in _files("tasks"):
        written = file.read_text(encoding="utf-8")
        for statement in read_script(Source(written, file.name)):
            if isinstance(statement, CreateTask):
                tasks.append(statement.task)
                papers[statement.task.name.lower()] = header(written, "Paper")
            elif isinstance(statement, Sql):
                raise DistilError(f"{file.name}:{statement.line}: only CREATE … TASK belongs here")
    return Library(tuple(macros), tuple(tasks), papers)


def header(written: str, title: str) -> str:
    """What the leading comment of a file says under a title (`-- Paper: …`, and the indented lines after it)."""
    found: list[str] = []
    for line in written.splitlines():
        if not line.startswith("--"):
            break
        said = line[2:]
        if said.startswith(f" {title}:"):
            found = [said.split(":", 1)[1].strip()]
        elif found:
            if not said.startswith("   "):
                break
            found.append(said.strip())
    return " ".join(found)


def _files(folder: str) -> list[Path]:
    return sorted((sql_folder() / folder).glob("*.sql"))


def stamp_of_new() -> str:
    """Changes with whatever a new database holds: the shipped files, the tasks of installed packages, and its form."""
    return hashlib.sha256(f"{stamp()}\nas v1.5.0\n{installed.stamp_of_all()}".encode()).hexdigest()


def stamp() -> str:
    """Changes with any shipped file and with the form of the functions written from it."""
    digest = hashlib.sha256(FORM.encode() + read_sql("schema.sql").encode())
    for file in (*_files("macros"), *_files("tasks")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _macro(macro: Macro, existing: dict[str, str]) -> list[str]:
    mark = f"{MACRO_MARK} {_ORIGIN}"
    return macro.written(_ORIGIN) if existing.get(macro.name.lower(), mark).startswith(mark) else []  # the user's own


def _write(con: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
    if statements:
        con.execute(";\n".join(statements))
