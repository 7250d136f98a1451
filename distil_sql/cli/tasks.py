"""`distil-sql tasks`: what tasks there are, and one in full."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from distil_sql.cli.options import database_option

if TYPE_CHECKING:
    from distil_sql.task import Task


@click.command("tasks")
@click.argument("name", required=False)
@database_option
def command(name: str | None, database: str) -> None:
    """List the tasks of a database (the built-in library where there is none), or show the task NAME."""
    from distil_sql.cli.tables import show
    from distil_sql.session import Session

    session = Session.open(database if Path(database).exists() else ":memory:")
    try:
        registry = session.registry
        if name is None:
            rows = [
                [task.name, task.kind, signature(task), task.returns, task.version]
                for task in sorted(registry.tasks.values(), key=lambda task: task.name)
            ]
            show(["task", "kind", "arguments", "returns", "version"], rows)
            return
        task = registry.task(name)
        click.echo(f"{task.name}({signature(task)}) RETURNS {task.returns}")
        click.echo(f"{task.kind}, version {task.version}" + (f", model {task.model}" if task.model else ""))
        for title, text in (("SYSTEM", task.system), ("PROMPT", task.prompt), ("PARSE", task.parse)):
            if text:
                click.echo(f"\n{title}\n{text}")
    finally:
        session.close()


def signature(task: Task) -> str:
    """A task's arguments as they are declared."""
    declared = [
        f"{a.name} {a.type}" + (f" DEFAULT {a.default}" if a.default is not None else "") for a in task.arguments
    ]
    return ", ".join(declared)
