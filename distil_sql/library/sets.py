"""A set of tasks written as `.sql` files: of a folder (`LOAD TASKS 'tasks/'`) or of an installed package.

`read_set(…)` reads the files, `put_set(con, registry, tasks)` defines what they hold. A task keeps its name where that
is free; where it is not, the name of the set goes before it: `acme_judge`, `acme_judge_n`, `acme_judge_details`.
(A schema of that name would do too, but makes every `acme.t` ambiguous once a database called acme is attached.)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from distil_sql.errors import DistilError, DistilWarning, OptionError, ScriptError
from distil_sql.quoting import name, text
from distil_sql.registry import SUFFIXES, Registry
from distil_sql.script import CreateTask, Source, Sql, Statement, read_script
from distil_sql.script.anatomy import find_word
from distil_sql.task import Task
from distil_sql.udf.macros import MARK, check_arguments, check_parse, check_returns, macro_statements

MACRO_MARK = "distil-sql"
"""How the comment on every macro that a set brings begins; its origin follows."""


@dataclass(frozen=True)
class Macro:
    """One CREATE OR REPLACE MACRO; `is_table` where it ends in AS TABLE."""

    name: str
    statement: Statement
    is_table: bool

    def written(self, origin: str) -> list[str]:
        """The statements that make it, with a comment that says whose it is."""
        kind = "MACRO TABLE" if self.is_table else "MACRO"
        return [self.statement.text, f"COMMENT ON {kind} main.{name(self.name)} IS {text(f'{MACRO_MARK} {origin}')}"]


@dataclass(frozen=True)
class TaskSet:
    """What the files of one set hold.

    `origin` is what `distil.tasks` says of them; `both` gives each task its qualified name beside its own, `alone` in
    place of it. `earlier` are the lower-case names of the tasks that the script itself has made before.
    """

    name: str
    origin: str
    macros: tuple[Macro, ...] = ()
    tasks: tuple[CreateTask, ...] = ()
    both: bool = False
    alone: bool = False
    earlier: frozenset[str] = frozenset()

    def without(self, statement: Statement) -> TaskSet:
        """The set but for one statement."""
        macros = tuple(macro for macro in self.macros if macro.statement is not statement)
        return replace(self, macros=macros, tasks=tuple(task for task in self.tasks if task is not statement))


class Unfit(Exception):
    """A statement of a set that cannot be carried out in this database."""

    def __init__(self, statement: Statement, message: str) -> None:
        super().__init__(message)
        self.statement, self.message = statement, message


def sql_files(path: Path) -> list[Path]:
    """A file, or the `.sql` files of a folder by name; empty where there is neither."""
    if path.is_dir():
        files = (file for file in path.iterdir() if file.suffix.lower() == ".sql" and file.name[0] != ".")
        return sorted(file for file in files if not file.is_dir())
    return [path] if path.is_file() else []


def read_file(path: Path, shown: str) -> tuple[list[Macro], list[CreateTask]]:
    """The macros and tasks of one file; raises ScriptError, which calls the file as `shown`."""
    try:
        source = Source(path.read_text(encoding="utf-8-sig"), shown)
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"it cannot be read as UTF-8 text: {error}", file=shown) from None
    macros, tasks = [], []
    for statement in read_script(source):
        if isinstance(statement, CreateTask):
            tasks.append(statement)
        elif (macro := read_macro(statement)) is not None:
            macros.append(macro)
        else:
            raise statement.error("only CREATE … TASK and CREATE OR REPLACE MACRO belong into a file of tasks")
    return macros, tasks


def twice(tasks: Iterable[CreateTask]) -> Iterator[tuple[CreateTask, ScriptError]]:
    """The tasks that an earlier one of the same set shares its name with, each with the sentence that says so."""
    first: dict[str, CreateTask] = {}
    for task in tasks:
        other = first.setdefault(task.task.name.lower(), task)
        if other is not task:
            place = f"{Path(other.source.file).name}:{other.line}"
            yield task, task.source.error(task.offset, f"task {task.task.name!r} is made in {place} too: rename one")


def read_macro(statement: Statement) -> Macro | None:
    """The macro that a statement makes in `main`, else None."""
    tokens = statement.tokens
    at = find_word(tokens, "AS")
    words = [token.text.upper() for token in tokens[:4]]
    if not isinstance(statement, Sql) or words[:3] != ["CREATE", "OR", "REPLACE"] or at is None or at < 6:
        return None
    if words[3] not in ("MACRO", "FUNCTION") or tokens[5].text != "(":
        return None
    return Macro(tokens[4].name, statement, tokens[at + 1].is_word("TABLE") if at + 1 < len(tokens) else False)


def functions_of(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The functions of the database by lower-case name, each with its comment."""
    query = "SELECT lower(function_name), coalesce(comment, '') FROM duckdb_functions() WHERE schema_name = 'main'"
    return dict(con.execute(query).fetchall())


def is_free(called: str, registry: Registry, existing: dict[str, str], ours: Callable[[str | None], bool]) -> bool:
    """Whether a task may be called so: it is one of `ours` by its origin, or no task and no function has the name."""
    lowered = called.lower()
    if lowered in registry.tasks:
        return ours(registry.origins.get(lowered))
    functions = [lowered + suffix for suffix in SUFFIXES]
    return all(
        existing.get(function, MARK).startswith(MARK) and registry.function_task(function) is None
        for function in functions
    )


def warn(message: str) -> None:
    """Tell of something that is left out or called otherwise."""
    warnings.warn(DistilWarning(message), stacklevel=2)


def put_set(
    con: duckdb.DuckDBPyConnection,
    registry: Registry,
    tasks: TaskSet,
    *,
    stored: bool = True,
    tell: Callable[[str], None] = warn,
) -> list[str]:
    """Define what a set holds, in the caller's transaction; gives the names its tasks got. Raises Unfit.

    `tell` hears of what is left out or called otherwise. Without `stored`, macros alone are written (roll them back)
    and the registry is changed in memory: a check.
    """
    existing = functions_of(con)
    for macro in tasks.macros:
        mark = f"{MACRO_MARK} {_stem(tasks.origin)}"
        if tasks.both and not existing.get(macro.name.lower(), mark).startswith(mark):
            tell(_placed(macro.statement, f"macro {macro.name!r} is left out: a function is called so already"))
            continue
        _carry_out(con, macro.statement, macro.written(tasks.origin))
    given: list[str] = []
    for statement in tasks.tasks:
        for called in _names(statement, tasks, registry, existing, tell):
            task = replace(statement.task, name=called)
            try:
                check_arguments(con, task)
                check_returns(con, task)
                check_parse(con, task)
                task = registry.put_task(con if stored else None, task, replace_it=True, origin=tasks.origin)
            except OptionError as error:
                raise Unfit(statement, f"task {called!r}: {error}") from None
            if stored:
                _carry_out(con, statement, macro_statements(con, task))
            given.append(called)
    return given


def _names(
    statement: CreateTask,
    tasks: TaskSet,
    registry: Registry,
    existing: dict[str, str],
    tell: Callable[[str], None],
) -> Iterable[str]:
    """What a task of the set is to be called here: its own name, the qualified one, or both."""
    own, qualified = statement.task.name, f"{tasks.name}_{statement.task.name}"
    its_own = not tasks.alone and is_free(own, registry, existing, lambda origin: _gives_way(origin, statement, tasks))
    if its_own:
        yield own
    if its_own and not tasks.both:
        return
    if not is_free(qualified, registry, existing, lambda origin: _stem(origin) == _stem(tasks.origin)):
        if not its_own:
            tell(_placed(statement, f"task {own!r} is left out: {own!r} and {qualified!r} are taken already"))
        return
    if not (tasks.both or tasks.alone):
        if _same(statement.task, registry.tasks.get(own.lower())):
            return  # the very task
        of = registry.origins.get(own.lower())
        whose = f" of {of}" if of else ""
        tell(_placed(statement, f"there is a function {own!r}{whose} already, so this task is {qualified!r} here"))
    yield qualified


def _gives_way(origin: str | None, statement: CreateTask, tasks: TaskSet) -> bool:
    """Whether a task of that origin gives its plain name to one of the set.

    To a package nothing does. To a folder, what was not loaded from another one: the user's own where it says OR
    REPLACE, unless the same script has just made it.
    """
    if _stem(origin) == _stem(tasks.origin):
        return True
    if tasks.both:
        return False
    if origin is None:
        return statement.replace and statement.task.name.lower() not in tasks.earlier
    return not origin.startswith("folder ")


def _stem(origin: str | None) -> str | None:
    """An origin without the version of its package."""
    return origin.rsplit(" ", 1)[0] if origin and origin.startswith("package ") else origin


def _same(one: Task, other: Task | None) -> bool:
    return other is not None and replace(one, name=other.name, version=other.version) == other


def _carry_out(con: duckdb.DuckDBPyConnection, statement: Statement, written: list[str]) -> None:
    try:
        con.execute(";\n".join(written))
    except (duckdb.Error, DistilError) as error:
        raise Unfit(statement, " ".join(str(error).split("\n")[0].split())) from None


def _placed(statement: Statement, message: str) -> str:
    return f"{statement.source.file}:{statement.line}: {message}"
