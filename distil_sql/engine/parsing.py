"""Parsing in SQL: what turns a response into a task's typed value, for the macros and for the check before a commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from distil_sql.quoting import name
from distil_sql.task import Task


def parse_expression(task: Task) -> str:
    """SQL over `response` that gives the task's value from what `distil_response` returns, or NULL."""
    if task.parse:
        return f"TRY_CAST(TRY(({task.parse}\n)) AS {task.returns})"
    if task.embeds:
        return f"TRY_CAST(distil_vector(response) AS {task.returns})"
    if task.given.is_text:
        return "response"
    return f"TRY_CAST(CAST(response AS JSON) AS {task.returns})"


def parse_check(
    cursor: duckdb.DuckDBPyConnection, task: Task, answers: Sequence[tuple[str, Mapping[str, Any]]]
) -> list[str | None]:
    """For each (response, arguments that the PARSE reads), None if it gives a value, else the reason.

    Arguments that cannot go back from Python to DuckDB (a MAP, the largest of HUGEINTs) leave the answers unchecked:
    they are kept, and whether they parse is seen where they are read.
    """
    try:
        return _checked(cursor, task, answers)
    except (pa.ArrowException, duckdb.ConversionException, duckdb.NotImplementedException, duckdb.BinderException):
        return [None] * len(answers)


def _checked(
    cursor: duckdb.DuckDBPyConnection, task: Task, answers: Sequence[tuple[str, Mapping[str, Any]]]
) -> list[str | None]:
    columns: dict[str, Any] = {"response": [response for response, _ in answers], "distil_row": range(len(answers))}
    read = ["response", "distil_row"]
    for argument in task.parse_inputs:
        columns[argument.name] = [values.get(argument.name) for _, values in answers]
        read.append(f"CAST({name(argument.name)} AS {argument.type}) AS {name(argument.name)}")
    cursor.register("distil_answers", pa.table({key: pa.array(values) for key, values in columns.items()}))
    try:
        rows = f"(SELECT {', '.join(read)} FROM distil_answers)"
        found = cursor.execute(f"SELECT ({parse_expression(task)}) IS NULL FROM {rows} ORDER BY distil_row").fetchall()
    finally:
        cursor.unregister("distil_answers")
    return [f"it does not parse as {task.returns}" if unread else None for (unread,) in found]
