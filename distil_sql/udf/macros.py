"""The four SQL functions of a task, as macros over the internal functions of `udf`.

Macros have what Python functions in DuckDB lack: named arguments and defaults. `getvariable('distil_pass')` hands the
internal function the pass that the calling connection is in; where there is none, the call blocks.
"""

from __future__ import annotations

import duckdb

from distil_sql.engine.parsing import parse_expression
from distil_sql.errors import OptionError
from distil_sql.quoting import name, text
from distil_sql.registry import SUFFIXES
from distil_sql.task import Argument, Task
from distil_sql.udf.passes import PASS_VARIABLE

FORM = "4"
"""Changed when the functions below are written another way, so that databases get them anew."""

MARK = "distil-sql task"
"""How the comment on every function of a task begins."""

_ANSWERS = "distil_row.distil_answers"
_AS_TEXT = ("interval", "time with time zone", "timestamp_ns", "bit", "blob", "union")

_DETAILS = """list_transform(list_transform({call}, lambda distil_answer: {{
        'value': {value}, 'answer': distil_answer}}),
    lambda distil_found: struct_pack(
        value := distil_found.value,
        response := distil_found.answer.response,
        prompt := distil_found.answer.prompt,
        model := distil_found.answer.model,
        status := distil_found.answer.status,
        error_kind := CASE WHEN distil_found.value IS NULL AND distil_found.answer.status = 'ok' THEN 'unparsable'
            WHEN distil_found.value IS NULL THEN distil_found.answer.error_kind END,
        error := CASE WHEN distil_found.value IS NULL AND distil_found.answer.status = 'ok'
            THEN 'the stored response does not parse as ' || {returns}
            WHEN distil_found.value IS NULL THEN distil_found.answer.error END,
        finish_reason := distil_found.answer.finish_reason,
        input_tokens := distil_found.answer.input_tokens,
        output_tokens := distil_found.answer.output_tokens,
        cached_tokens := distil_found.answer.cached_tokens,
        reasoning_tokens := distil_found.answer.reasoning_tokens,
        cost := distil_found.answer.cost,
        probabilities := CAST(json_extract(distil_found.answer.scores, '$.probabilities') AS MAP(VARCHAR, DOUBLE)),
        logprobs := CAST(json_extract(distil_found.answer.scores, '$.logprobs')
            AS STRUCT("token" VARCHAR, logprob DOUBLE)[]),
        call_id := distil_found.answer.call_id))[1]"""


def create_macros(con: duckdb.DuckDBPyConnection, task: Task) -> None:
    """Write a task's functions into the database; OptionError where a function of that name is someone else's."""
    check_free(con, *(task.name + suffix for suffix in SUFFIXES))
    for statement in macro_statements(con, task):
        try:
            con.execute(statement)
        except duckdb.Error as error:
            raise OptionError(_reason(task, error)) from None


def macro_statements(con: duckdb.DuckDBPyConnection, task: Task) -> list[str]:
    """The statements that write a task's functions."""
    values = "".join(f", {_passed(con, a)}" for a in task.arguments)
    named = "".join(f", {name(a.name)}" + (f" := {a.default}" if a.default is not None else "") for a in task.arguments)
    first = f"{text(task.name)}, getvariable('{PASS_VARIABLE}'), CAST(model AS VARCHAR), CAST(sample AS INTEGER)"
    each = _ANSWERS
    if task.parse or task.embeds or not task.given.is_text:
        each = f"list_transform({_ANSWERS}, lambda distil_answer: {_read(task, 'distil_answer')})"
    details = _DETAILS.format(call=_ANSWERS, value=_read(task, "distil_answer.readable"), returns=text(task.returns))
    bodies = {
        "": ("model := NULL, sample := 0", _row(task, f"distil_response({first}, 1{values})", each) + "[1]"),
        "_n": (
            "n := 1, model := NULL, sample := 0",
            _row(task, f"distil_response({first}, CAST(n AS INTEGER){values})", each),
        ),
        "_details": (
            "model := NULL, sample := 0",
            _row(task, f"distil_details({first}, 1{values})", details),
        ),
        "_prompt": (
            "format := 'openai', model := NULL",
            f"distil_prompt({text(task.name)}, CAST(format AS VARCHAR), CAST(model AS VARCHAR){values})",
        ),
    }
    statements = []
    parser = ""
    if task.parse:  # a macro of its own: so its arguments have names in the lambdas without a level of lambdas for each
        inputs = ", ".join(["response", *(name(a.name) for a in task.parse_inputs)])
        parser = f"CREATE OR REPLACE MACRO main.{_parser(task)}({inputs}) AS "
        statements.append(
            f"{parser}NULL::{task.returns}"
        )  # for now: whatever calls it would bind all of it, every time
    for suffix, (own, body) in bodies.items():
        function = name(task.name + suffix)
        parameters = f"{named}, {own}".removeprefix(", ")
        statements.append(f"CREATE OR REPLACE MACRO main.{function}({parameters}) AS {body}")
        statements.append(f"COMMENT ON MACRO main.{function} IS {text(f'{MARK} {task.name}')}")
    if parser:
        statements.append(parser + parse_expression(task))
    return statements


def drop_macros(con: duckdb.DuckDBPyConnection, task: Task) -> None:
    """Remove a task's functions."""
    for suffix in SUFFIXES:
        con.execute(f"DROP MACRO IF EXISTS main.{name(task.name + suffix)}")
    con.execute(f"DROP MACRO IF EXISTS main.{_parser(task)}")


def check_free(con: duckdb.DuckDBPyConnection, *functions: str) -> None:
    """Raise where a function of these names exists and is no task's: a macro would hide it."""
    query = (
        "SELECT function_name, internal, comment FROM duckdb_functions() WHERE list_contains(?, lower(function_name))"
    )
    wanted = {function.lower(): function for function in functions}
    for found, internal, comment in con.execute(query, [list(wanted)]).fetchall():
        if not str(comment or "").startswith(MARK):
            owner = "of DuckDB" if internal else "of your own"
            raise OptionError(
                f"there is a function {wanted[found.lower()]!r} {owner} already: call the task something else"
            )


def check_arguments(con: duckdb.DuckDBPyConnection, task: Task) -> None:
    """Bind a task's arguments and their defaults; OptionError says what DuckDB says."""
    for argument in task.arguments:
        default = (
            f"CAST(({argument.default}) AS {argument.type})"
            if argument.default is not None
            else f"NULL::{argument.type}"
        )
        try:
            con.execute(f"SELECT {default}")  # not LIMIT 0: a default that does not convert would go unseen
        except duckdb.Error as error:
            raise OptionError(f"argument {argument.name!r} {argument.type}: {_first_line(error)}") from None


def check_returns(con: duckdb.DuckDBPyConnection, task: Task) -> None:
    """Bind a task's RETURNS; OptionError says what DuckDB says."""
    try:
        con.execute(f"SELECT CAST(NULL AS {task.returns}) LIMIT 0")
    except duckdb.Error as error:
        raise OptionError(f"RETURNS {task.returns}: {_first_line(error)}") from None


def check_parse(con: duckdb.DuckDBPyConnection, task: Task) -> None:
    """Bind a task's PARSE without running it, in a lambda as its functions do; OptionError says what DuckDB says."""
    if task.parse:
        value = parse_expression(task)
        try:
            inputs = "".join(f", NULL::{argument.type} AS {name(argument.name)}" for argument in task.parse_inputs)
            con.execute(f"SELECT {value} FROM (SELECT NULL::VARCHAR AS response{inputs}) LIMIT 0")
            con.execute(
                f"SELECT list_transform([NULL::VARCHAR], lambda response: {value}) FROM (SELECT 1{inputs}) LIMIT 0"
            )
        except duckdb.Error as error:
            raise OptionError(f"its PARSE is not valid: {_first_line(error)}") from None


def _passed(con: duckdb.DuckDBPyConnection, argument: Argument) -> str:
    """An argument on its way to Python: as its type, or as SQL prints it where Python has no such type."""
    value = f"CAST({name(argument.name)} AS {argument.type})"
    try:
        return value if str(con.sqltype(argument.type).id) not in _AS_TEXT else f"CAST({value} AS VARCHAR)"
    except duckdb.Error as error:
        raise OptionError(f"argument {argument.name!r} {argument.type}: {_first_line(error)}") from None


def _parser(task: Task) -> str:
    return name(f"distil_parse_{task.name}")


def _read(task: Task, answer: str) -> str:
    """The value of an answer, inside the lambda of `_row`: by the task's own parser, which names its arguments."""
    if not task.parse:
        return f"list_transform([{answer}], lambda response: {parse_expression(task)})[1]"
    return f"{_parser(task)}({', '.join([answer, *(f'distil_row.{name(a.name)}' for a in task.parse_inputs)])})"


def _row(task: Task, call: str, each: str) -> str:
    """`each` over the answers of a call; the arguments that PARSE reads are made once, outside of the lambda.

    There they may be subqueries, and they become what their types say.
    """
    if not task.parse or not task.parse_inputs:
        return each.replace(_ANSWERS, call)
    fields = [f"distil_answers := {call}"]
    fields += [f"{name(a.name)} := CAST({name(a.name)} AS {a.type})" for a in task.parse_inputs]
    return f"list_transform([struct_pack({', '.join(fields)})], lambda distil_row: {each})[1]"


def _reason(task: Task, error: duckdb.Error) -> str:
    return f"task {task.name!r} cannot be made a function: {_first_line(error)}"


def _first_line(error: duckdb.Error) -> str:
    return " ".join(str(error).split("\n")[0].split())
