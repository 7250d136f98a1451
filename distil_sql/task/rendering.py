"""The prompts of a batch of rows, as the compact JSON that is hashed, sent and stored.

Column by column where the task's templates allow it: a rerun that is answered from the ledger spends most of its time
here. `as_json` writes the messages of one row in the same form.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import repeat
from json.encoder import encode_basestring as _escaped
from typing import Any

from distil_sql.prompt import Message
from distil_sql.prompt.template import TemplateError
from distil_sql.task import Task


def as_json(messages: Sequence[Message]) -> str:
    """The messages as compact JSON, part by part: `json.dumps` would take four times as long."""
    parts = [f'{{"role":"{message["role"]}","content":{_escaped(message["content"])}}}' for message in messages]
    return f"[{','.join(parts)}]"


def rendered(
    task: Task, columns: Mapping[str, Sequence[Any]], count: int, without: Container[int] = ()
) -> list[str | TemplateError]:
    """For each of `count` rows its messages as JSON, or why it has none.

    `columns` are the arguments' values by name; no function of Python's is called for the rows `without` a prompt.
    """
    templates = task.templates
    if templates is None:
        names = list(columns)
        rows = zip(*columns.values(), strict=True) if columns else repeat((), count)
        return [
            "" if number in without else _one(task, dict(zip(names, row, strict=True)))
            for number, row in enumerate(rows)
        ]
    system, prompt = templates
    heads = system.render_all(columns, count) if system is not None else repeat("", count)
    known: dict[str, str] = {}  # most rows of a table have the same system text
    found: list[str | TemplateError] = []
    for head, content in zip(heads, prompt.render_all(columns, count), strict=True):
        if isinstance(head, TemplateError) or isinstance(content, TemplateError):
            found.append(head if isinstance(head, TemplateError) else content)
            continue
        before = known.get(head)
        if before is None:
            before = known[head] = _before(task.system_text(head))
        found.append(f"{before}{_escaped(content)}}}]")
    return found


def _before(system: str) -> str:
    """What stands before the content of the user's message."""
    first = f'{{"role":"system","content":{_escaped(system)}}},' if system.strip() else ""
    return f'[{first}{{"role":"user","content":'


def _one(task: Task, values: dict[str, Any]) -> str | TemplateError:
    try:
        return as_json(task.messages(values))
    except TemplateError as error:
        return error
