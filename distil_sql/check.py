"""Checks a whole script before any of it runs: tasks, models, arguments. Nothing has been written when this raises.

What only DuckDB can tell (columns, types) is told when the statement is bound, before its first call.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from distil_sql.errors import DistilError, OptionError
from distil_sql.library.loading import check_loaded, load_tasks
from distil_sql.models import check as check_model
from distil_sql.models.options import ModelSpec
from distil_sql.prompt.formats import FORMATS
from distil_sql.registry import Registry
from distil_sql.script import CreateModel, CreateTask, Drop, LoadTasks, Sql, Statement
from distil_sql.script.anatomy import FunctionCall, function_calls
from distil_sql.script.lexer import matching
from distil_sql.task import Task, nearest
from distil_sql.udf.macros import check_arguments, check_free, check_parse, check_returns

_ANYTHING = " any function"
_DECLARES = ("INTO", "TABLE", "EXISTS", "WITH", "RECURSIVE", "TYPE", "INDEX", "MACRO", "FUNCTION", "COPY")
"""Words after which `name(` declares a table's columns or a macro's parameters."""
_OWN = {
    "": ("model", "sample"),
    "_n": ("n", "model", "sample"),
    "_details": ("model", "sample"),
    "_prompt": ("format", "model"),
}


def check_script(statements: Sequence[Statement], registry: Registry, con: duckdb.DuckDBPyConnection) -> None:
    """Walk the script with a copy of the registry; raises ScriptError at the first thing that cannot work."""
    known = _function_names(con)
    defined = registry.copy()
    for statement in statements:
        try:
            if isinstance(statement, Sql):
                _check_sql(statement, defined, known)
            elif isinstance(statement, LoadTasks):
                known |= check_loaded(statement, defined, con)
            else:
                apply_ddl(statement, defined, None)
                if isinstance(statement, CreateTask):
                    check_arguments(con, statement.task)
                    _check_output(statement, con)
                    if statement.task.name.lower() not in registry.tasks:
                        check_free(con, statement.task.name)
        except OptionError as error:
            raise statement.error_naming(str(error)) from None


def apply_ddl(statement: Statement, registry: Registry, con: duckdb.DuckDBPyConnection | None) -> Task | None:
    """Carry out one of our statements on the registry (in memory alone without `con`); gives the task it touched."""
    if isinstance(statement, CreateModel):
        spec = ModelSpec.read(statement.name, statement.options)
        if not (statement.if_not_exists and statement.name.lower() in registry.models):
            registry.put_model(con, spec, replace_it=statement.replace)
    elif isinstance(statement, CreateTask):
        if not (statement.if_not_exists and statement.task.name.lower() in registry.tasks):
            return registry.put_task(con, statement.task, replace_it=statement.replace)
    elif isinstance(statement, Drop):
        return registry.drop(con, statement.what, statement.name, if_exists=statement.if_exists)
    elif isinstance(statement, LoadTasks) and con is not None:
        load_tasks(statement, registry, con)  # writes their functions too
    return None


def called_tasks(statement: Sql, registry: Registry) -> set[str]:
    """Names of the tasks called in the statement's text (views and macros may hide others)."""
    found = (registry.function_task(call.name.name) for call in function_calls(statement.tokens))
    return {task.name for task, suffix in filter(None, found) if suffix != "_prompt"}


def _check_output(statement: CreateTask, con: duckdb.DuckDBPyConnection) -> None:
    for check, at in ((check_returns, statement.returns_start), (check_parse, statement.parse_start)):
        try:
            check(con, statement.task)
        except OptionError as error:
            raise statement.error(f"task {statement.task.name!r}: {error}", at=at) from None


def _check_sql(statement: Sql, registry: Registry, known: set[str]) -> None:
    defines = {token.name.lower() for token in statement.tokens} if statement.tokens[0].is_word("CREATE") else set()
    if any(token.is_word("MACRO", "FUNCTION") for token in statement.tokens[:5]):
        known |= defines
    if statement.tokens[0].is_word("LOAD", "INSTALL", "ATTACH"):
        known.add(_ANYTHING)  # functions may come from anywhere now
    for call in function_calls(statement.tokens):
        found = registry.function_task(call.name.name)
        if found is not None and not _is_expression(statement, call, _DECLARES):
            continue  # a table or CTE that is called as a task is
        if found is not None:
            _check_call(statement, registry, call, *found)
        elif not (call.qualified or known & {call.name.name.lower(), _ANYTHING}) and _is_expression(statement, call):
            hint = nearest(call.name.name, list(registry.functions()), cutoff=0.75)
            if hint:
                message = f"there is no task or function {call.name.name!r}{hint}"
                raise statement.error(message, at=call.name.start)


def _check_call(statement: Sql, registry: Registry, call: FunctionCall, task: Task, suffix: str) -> None:
    names = [argument.name.lower() for argument in task.arguments]
    own = _OWN[suffix]
    at = call.name.start
    signature = f"{task.name}{suffix}({', '.join(argument.name for argument in task.arguments)})"
    for name, value in call.named.items():
        if name not in names and name not in own:
            raise statement.error(
                f"{signature} has no argument {name!r}{nearest(name, [*names, *own])}", at=value[0].start
            )
    if call.positional > len(names) and not call.qualified:
        s = "" if len(names) == 1 else "s"
        message = f"{signature} takes {len(names)} argument{s}, {call.positional} given (write {own[0]} := … by name)"
        raise statement.error(message, at=at)
    for index, argument in enumerate(() if call.qualified else task.arguments):
        if index >= call.positional and argument.default is None and argument.name.lower() not in call.named:
            raise statement.error(f"{signature} misses its argument {argument.name!r}", at=at)
    if suffix == "_prompt":
        format_ = call.named.get("format", ())
        if len(format_) == 1 and format_[0].kind == "string" and format_[0].value not in FORMATS:
            message = f"there is no prompt format {format_[0].value!r}{nearest(format_[0].value, FORMATS)}"
            raise statement.error(message, at=format_[0].start)
        return
    model = call.named.get("model")
    literal = model[0].value if model and len(model) == 1 and model[0].kind == "string" else None
    if model and literal is None and not model[0].is_word("NULL"):
        return  # a column says it, row by row
    try:
        spec = registry.model_for(task, literal)
        for member in spec.options["models"] if spec.type == "pool" else [spec.name]:  # type: ignore[attr-defined]
            check_model(registry.model(member), embeds=task.embeds)
    except DistilError as error:
        raise statement.error(str(error), at=model[0].start if model else at) from None


def _is_expression(statement: Sql, call: FunctionCall, declares: Sequence[str] = (*_DECLARES, "AS", "ON")) -> bool:
    """Whether `name(` is a function call, not a table with its columns (INSERT INTO t(a), x AS t(a))."""
    tokens = statement.tokens
    index = next(i for i, token in enumerate(tokens) if token is call.name)
    close = matching(tokens, index + 1)
    after = tokens[close + 1 : close + 3]
    while index > 1 and tokens[index - 1].text == ".":
        index -= 2
    before = tokens[index - 1] if index else None
    if len(after) == 2 and after[0].is_word("AS") and (after[1].text == "(" or after[1].is_word("MATERIALIZED", "NOT")):
        return False  # a CTE
    return before is not None and not (
        before.is_word(*declares) or before.kind in ("quoted", "string") or (before.kind == "op" and before.text == ")")
    )


def _function_names(con: duckdb.DuckDBPyConnection) -> set[str]:
    query = """SELECT lower(function_name) FROM duckdb_functions()
        UNION SELECT lower(keyword_name) FROM duckdb_keywords() UNION SELECT lower(type_name) FROM duckdb_types()"""
    return {row[0] for row in con.execute(query).fetchall()}
