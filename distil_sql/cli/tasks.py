"""`distil-sql tasks`: what tasks there are, and one in full with a rendered sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distil_sql.cli.options import database_option

if TYPE_CHECKING:
    from distil_sql.session import Session
    from distil_sql.task import Argument, Task


@click.command("tasks")
@click.argument("name", nargs=-1, metavar="[show] [NAME]")
@database_option
def command(name: tuple[str, ...], database: str) -> None:
    """List the tasks of a database (the built-in library where there is none), or show the task NAME."""
    from distil_sql.cli.tables import show
    from distil_sql.session import Session

    wanted = name[1:] if len(name) == 2 and name[0].lower() == "show" else name
    if len(wanted) > 1:
        raise click.UsageError("one task at a time: distil-sql tasks show NAME")
    session = Session.open(database if Path(database).exists() else ":memory:")
    try:
        registry = session.registry
        if wanted:
            _show(session, registry.task(wanted[0]))
            return
        rows = [
            [
                task.name,
                task.kind,
                task.signature,
                task.returns,
                task.version,
                registry.origins.get(task.name.lower(), ""),
            ]
            for task in sorted(registry.tasks.values(), key=lambda task: task.name)
        ]
        show(["task", "kind", "arguments", "returns", "version", "from"], rows)
    finally:
        session.close()


def _show(session: Session, task: Task) -> None:
    from distil_sql.library import read_library

    click.echo(f"{task.name}({task.signature}) RETURNS {task.returns}")
    click.echo(f"{task.kind}, version {task.version}" + (f", model {task.model}" if task.model else ""))
    if origin := session.registry.origins.get(task.name.lower()):
        click.echo(f"From: {origin}")
    paper = read_library().papers.get(task.name.lower())
    if paper and task.name.lower() in session.registry.built_in:
        click.echo(f"Paper: {paper}")
    for title, text in (("SYSTEM", task.system), ("PROMPT", task.prompt), ("PARSE", task.parse)):
        if text:
            click.echo(f"\n{title}\n{text}")
    if sample := _sample(session, task):
        click.echo(f"\nSAMPLE\n{sample}")


def _sample(session: Session, task: Task) -> str | None:
    """The prompt of a made-up row; None where there is no value to make up for one of the arguments."""
    from distil_sql.quoting import name

    values = [(a, _value(a)) for a in task.arguments if a.default is None]
    if any(value is None for _, value in values):
        return None
    given = ", ".join(f"{name(a.name)} := CAST({value} AS {a.type})" for a, value in values)
    function = name(task.name + "_prompt")
    cursor = session.cursor()
    try:
        found = cursor.execute(f"SELECT {function}({given})").fetchone()
    finally:
        cursor.close()
    if found is None or found[0] is None:
        return None
    return "\n".join(f"[{message['role']}]\n{message['content']}" for message in json.loads(found[0]))


def _value(argument: Argument) -> str | None:
    from distil_sql.quoting import text

    said = f"<{argument.name}>"
    shape = argument.type.upper().replace(" ", "")
    if shape in ("VARCHAR", "TEXT", "STRING"):
        return text(said)
    if shape in ("VARCHAR[]", "TEXT[]", "STRING[]"):
        return f"[{text(said[:-1] + ' 1>')}, {text(said[:-1] + ' 2>')}]"
    if shape.startswith("STRUCT(ROLEVARCHAR,CONTENTVARCHAR)"):
        return f"[{{'role': 'user', 'content': {text(said)}}}]"
    if shape == "BOOLEAN":
        return "true"
    return "1" if "INT" in shape or shape in ("DOUBLE", "FLOAT", "REAL") or shape.startswith("DECIMAL") else None
