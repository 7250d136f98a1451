"""The four SQL functions of a task, as macros over the internal functions of `udf`.

Macros have what Python functions in DuckDB lack: named arguments and defaults. `getvariable('distil_pass')` hands the
internal function the pass that the calling connection is in; where there is none, the call blocks.
"""

from __future__ import annotations

import duckdb

from distil_sql.engine.writer import parse_expression
from distil_sql.errors import OptionError
from distil_sql.quoting import name, text
from distil_sql.registry import SUFFIXES
from distil_sql.task import Task

PASS_VARIABLE = "distil_pass"
_MARK = "distil-sql task"

_DETAILS = """list_transform(list_transform({call}, lambda answer: {{
        'value': list_transform([answer.readable], lambda response: {value})[1], 'answer': answer}}),
    lambda found: struct_pack(
        value := found.value,
        response := found.answer.response,
        prompt := found.answer.prompt,
        model := found.answer.model,
        status := found.answer.status,
        error_kind := CASE WHEN found.value IS NULL AND found.answer.status = 'ok' THEN 'unparsable'
            WHEN found.value IS NULL THEN found.answer.error_kind END,
        error := CASE WHEN found.value IS NULL AND found.answer.status = 'ok'
            THEN 'the stored response does not parse as ' || {returns}
            WHEN found.value IS NULL THEN found.answer.error END,
        finish_reason := found.answer.finish_reason,
        input_tokens := found.answer.input_tokens,
        output_tokens := found.answer.output_tokens,
        cached_tokens := found.answer.cached_tokens,
        cost := found.answer.cost,
        call_id := found.answer.call_id))[1]"""


def create_macros(con: duckdb.DuckDBPyConnection, task: Task) -> None:
    """Write a task's functions into the database; OptionError where a function of that name is someone else's."""
    for suffix in SUFFIXES:
        check_free(con, task.name + suffix)
    value = parse_expression(task)
    values = "".join(f", CAST({name(a.name)} AS {a.type})" for a in task.arguments)
    named = "".join(f", {name(a.name)}" + (f" := {a.default}" if a.default is not None else "") for a in task.arguments)
    first = f"{text(task.name)}, getvariable('{PASS_VARIABLE}'), CAST(model AS VARCHAR), CAST(sample AS INTEGER)"
    bodies = {
        "": ("model := NULL, sample := 0", _each(f"distil_response({first}, 1{values})", value) + "[1]"),
        "_n": (
            "n := 1, model := NULL, sample := 0",
            _each(f"distil_response({first}, CAST(n AS INTEGER){values})", value),
        ),
        "_details": (
            "model := NULL, sample := 0",
            _DETAILS.format(call=f"distil_details({first}, 1{values})", value=value, returns=text(task.returns)),
        ),
        "_prompt": (
            "format := 'openai', model := NULL",
            f"distil_prompt({text(task.name)}, CAST(format AS VARCHAR), CAST(model AS VARCHAR){values})",
        ),
    }
    for suffix, (own, body) in bodies.items():
        function = name(task.name + suffix)
        parameters = f"{named}, {own}".removeprefix(", ")
        try:
            con.execute(f"CREATE OR REPLACE MACRO main.{function}({parameters}) AS {body}")
        except duckdb.Error as error:
            raise OptionError(_reason(task, error)) from None
        con.execute(f"COMMENT ON MACRO main.{function} IS {text(f'{_MARK} {task.name}')}")


def drop_macros(con: duckdb.DuckDBPyConnection, task: Task) -> None:
    """Remove a task's functions."""
    for suffix in SUFFIXES:
        con.execute(f"DROP MACRO IF EXISTS main.{name(task.name + suffix)}")


def check_free(con: duckdb.DuckDBPyConnection, function: str) -> None:
    """Raise where a function of that name exists and is no task's: a macro would hide it."""
    query = "SELECT schema_name, comment FROM duckdb_functions() WHERE lower(function_name) = lower(?) LIMIT 1"
    found = con.execute(query, [function]).fetchone()
    if found is not None and not str(found[1] or "").startswith(_MARK):
        owner = "of your own" if found[0] == "main" and found[1] is None else "of DuckDB"
        raise OptionError(f"there is a function {function!r} {owner} already: call the task something else")


def check_parse(con: duckdb.DuckDBPyConnection, task: Task) -> None:
    """Bind a task's types, defaults and PARSE without running them; OptionError says what DuckDB says."""
    for argument in task.arguments:
        default = (
            f"CAST(({argument.default}) AS {argument.type})"
            if argument.default is not None
            else f"NULL::{argument.type}"
        )
        try:
            con.execute(f"SELECT {default} LIMIT 0")
        except duckdb.Error as error:
            raise OptionError(f"argument {argument.name!r} {argument.type}: {_first_line(error)}") from None
    try:
        con.execute(f"SELECT CAST(NULL AS {task.returns}) LIMIT 0")
    except duckdb.Error as error:
        raise OptionError(f"RETURNS {task.returns}: {_first_line(error)}") from None
    if task.parse:
        try:
            con.execute(f"SELECT {parse_expression(task)} FROM (SELECT NULL::VARCHAR AS response) LIMIT 0")
        except duckdb.Error as error:
            raise OptionError(f"its PARSE is not valid: {_first_line(error)}") from None


def _each(call: str, value: str) -> str:
    return call if value == "response" else f"list_transform({call}, lambda response: {value})"


def _reason(task: Task, error: duckdb.Error) -> str:
    return f"task {task.name!r} cannot be made a function: {_first_line(error)}"


def _first_line(error: duckdb.Error) -> str:
    return " ".join(str(error).split("\n")[0].split())
