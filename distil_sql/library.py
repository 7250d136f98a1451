"""The shipped SQL in a user's database: the macros of `sql/macros/`, the tasks of `sql/tasks/`, one file a task.

`install(con, registry)` brings both up to date when a database is opened, and looks at a stamp alone where they are.
A task or macro of the user's own keeps its name: ours is left out.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import duckdb

from distil_sql.errors import DistilError
from distil_sql.quoting import name, text
from distil_sql.registry import BUILT_IN, SUFFIXES, Registry
from distil_sql.resources import sql_folder
from distil_sql.script import CreateTask, Source, Sql, read_script
from distil_sql.task import Task
from distil_sql.udf.macros import FORM, MARK, macro_statements

_MACRO_MARK = "distil-sql library"


@dataclass(frozen=True)
class Macro:
    """One CREATE OR REPLACE MACRO; `is_table` where it ends in AS TABLE."""

    name: str
    sql: str
    is_table: bool


@dataclass(frozen=True)
class Library:
    """What the files hold, in the order of their names; `papers` by lower-case name of the task."""

    macros: tuple[Macro, ...]
    tasks: tuple[Task, ...]
    papers: dict[str, str]


def install(con: duckdb.DuckDBPyConnection, registry: Registry) -> None:
    """Write what is missing or has changed, in one transaction with the stamp that says so."""
    stamp = _stamp()
    held = con.execute("SELECT value FROM distil.meta WHERE key = 'library'").fetchone()
    current, _, skipped = held[0].partition(":") if held else ("", "", "")
    left_out = skipped.split(",")
    if current == stamp and all(file.stem in registry.tasks or file.stem in left_out for file in _files("tasks")):
        _restore(con, registry, _functions(con) if registry.tasks.keys() - registry.built_in else {})
        return
    library = read_library()
    con.execute("BEGIN")
    try:
        existing = _functions(con)
        _write(con, [statement for macro in library.macros for statement in _macro(macro, existing)])
        ours = [task for task in library.tasks if _is_free(task, registry, existing)]
        for task in ours:
            registry.put_task(con, task, replace_it=True, origin=BUILT_IN)
        _write(con, [statement for task in ours for statement in macro_statements(con, task)])
        names = ",".join(task.name for task in library.tasks if task not in ours)
        con.execute("DELETE FROM distil.meta WHERE key = 'library'")
        con.execute("INSERT INTO distil.meta VALUES ('library', ?)", [f"{stamp}:{names}"])
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        registry.load(con)
        raise
    _restore(con, registry, {})


def _is_free(task: Task, registry: Registry, existing: dict[str, str]) -> bool:
    """Whether a task of the library may have its name: no task and no function of the user's stands in its way."""
    lowered = task.name.lower()
    if lowered in registry.tasks:
        return lowered in registry.built_in
    functions = [lowered + suffix for suffix in SUFFIXES]
    return all(
        existing.get(function, MARK).startswith(MARK) and registry.function_task(function) is None
        for function in functions
    )


def _restore(con: duckdb.DuckDBPyConnection, registry: Registry, written: dict[str, str]) -> None:
    """Write the functions of the user's own tasks that are not there; one that cannot be says so when it is used."""
    for lowered in sorted(registry.tasks.keys() - registry.built_in - written.keys()):
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
            words = [token.name for token in statement.tokens[:5]]
            if [word.upper() for word in words[:4]] != ["CREATE", "OR", "REPLACE", "MACRO"]:
                raise DistilError(f"{file.name}:{statement.line}: only CREATE OR REPLACE MACRO belongs here")
            after = [i for i, token in enumerate(statement.tokens) if token.is_word("AS")]
            macros.append(Macro(words[4], statement.text, statement.tokens[after[0] + 1].is_word("TABLE")))
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


def _stamp() -> str:
    """Changes with any shipped file and with the form of the functions written from it."""
    digest = hashlib.sha256(FORM.encode())
    for file in (*_files("macros"), *_files("tasks")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _functions(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The functions of the database by lower-case name, each with its comment."""
    query = "SELECT lower(function_name), coalesce(comment, '') FROM duckdb_functions() WHERE schema_name = 'main'"
    return dict(con.execute(query).fetchall())


def _macro(macro: Macro, existing: dict[str, str]) -> list[str]:
    if not existing.get(macro.name.lower(), _MACRO_MARK).startswith(_MACRO_MARK):
        return []  # the user's own
    kind = "MACRO TABLE" if macro.is_table else "MACRO"
    return [macro.sql, f"COMMENT ON {kind} main.{name(macro.name)} IS {text(_MACRO_MARK)}"]


def _write(con: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
    if statements:
        con.execute(";\n".join(statements))
