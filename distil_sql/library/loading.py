"""`LOAD TASKS`: the tasks of a folder, of a file, or of an installed package, by a statement of the script's.

`load_tasks(statement, registry, con)` defines them; `check_loaded` looks whether that would work and changes nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from distil_sql.library.installed import find_package, read_package
from distil_sql.library.sets import Macro, TaskSet, Unfit, put_set, read_file, sql_files, twice
from distil_sql.registry import Registry
from distil_sql.script import CreateTask, LoadTasks


def load_tasks(statement: LoadTasks, registry: Registry, con: duckdb.DuckDBPyConnection) -> None:
    """Define the tasks, in the caller's transaction; raises ScriptError."""
    try:
        put_set(con, registry, read_loaded(statement))
    except Unfit as unfit:
        raise unfit.statement.error(unfit.message) from None


def check_loaded(statement: LoadTasks, registry: Registry, con: duckdb.DuckDBPyConnection) -> set[str]:
    """Put the tasks into a registry in memory alone; gives the lower-case names of the macros. Raises ScriptError."""
    tasks = read_loaded(statement)
    con.execute("BEGIN")
    try:
        put_set(con, registry, tasks, stored=False)
    except Unfit as unfit:
        raise unfit.statement.error(unfit.message) from None
    finally:
        con.execute("ROLLBACK")
    return {macro.name.lower() for macro in tasks.macros}


def read_loaded(statement: LoadTasks) -> TaskSet:
    """What a LOAD TASKS is about; raises ScriptError where there is no such thing, or something in it is wrong."""
    if not statement.is_path:
        package, hint = find_package(statement.what)
        if package is None:
            message = f"no installed package brings tasks called {statement.what!r}{hint}"
            raise statement.error(message, at=statement.tokens[-1].start)
        return read_package(package, statement.prefix)
    files = loaded_files(statement)
    macros: list[Macro] = []
    tasks: list[CreateTask] = []
    for file in files:
        its_macros, its_tasks = read_file(file, _shown(file))
        macros += its_macros
        tasks += its_tasks
    for _, error in twice(tasks):
        raise error
    path = (statement.source.folder or Path.cwd()) / statement.what
    kind = "folder" if path.is_dir() else "file"
    called = identifier(path.resolve().stem)
    prefix, alone = statement.prefix or called, statement.prefix is not None
    return TaskSet(
        prefix, f"{kind} {called}", tuple(macros), tuple(tasks), alone=alone, earlier=frozenset(statement.earlier)
    )


def loaded_files(statement: LoadTasks) -> list[Path]:
    """The files behind a LOAD TASKS 'path', found from the script's own folder; raises ScriptError."""
    path = (statement.source.folder or Path.cwd()) / statement.what
    files = sql_files(path)
    if not files:
        at = next(token.start for token in statement.tokens if token.kind == "string")
        there = "a folder without .sql files" if path.is_dir() else "no folder or file"
        raise statement.error(f"there is {there} at {statement.what!r} (looked in {path})", at=at)
    return files


def loaded_text(statement: LoadTasks) -> str:
    """Changes with what a LOAD TASKS would define; raises ScriptError where there is nothing to load."""
    if statement.is_path:
        return "\0".join(file.name + "\0" + file.read_bytes().hex() for file in loaded_files(statement))
    tasks = read_loaded(statement)
    return "\0".join(member.text for member in (*(macro.statement for macro in tasks.macros), *tasks.tasks))


def loaded_names(statement: LoadTasks) -> list[tuple[str, str]]:
    """What a LOAD TASKS may bring, for those who look for it: ("task", name), ("macro", name), in lower case."""
    tasks = read_loaded(statement)
    own = [task.task.name.lower() for task in tasks.tasks]
    names = [*own, *(f"{tasks.name}_{name}".lower() for name in own)]
    return [*(("task", name) for name in names), *(("macro", macro.name.lower()) for macro in tasks.macros)]


def identifier(word: str) -> str:
    """A name for SQL out of a name of something else."""
    return re.sub(r"\W+", "_", word).strip("_") or "tasks"


def _shown(file: Path) -> str:
    """A file as the user would write it."""
    try:
        return str(file.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(file)
