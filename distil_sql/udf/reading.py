"""What a task's SQL gets to see of a response: the text, or JSON that is known to fit its type; None where neither."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from distil_sql.task import Task

Reader = Callable[[str, Mapping[str, Any]], str | None]
"""Reads a response, with the arguments of the row that asked for it."""


def reader_of(task: Task) -> Reader:
    """How the answers of a task are read."""
    if task.output.is_text and not task.reads_in_python:
        return lambda response, _: response if response.strip() else None  # an empty answer is a failure, not a text

    def read(response: str, values: Mapping[str, Any]) -> str | None:
        try:
            return task.value(response, values) if task.reads_in_python else task.output.read(response)
        except ValueError:
            return None

    return read
