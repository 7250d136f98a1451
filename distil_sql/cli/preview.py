"""`distil-sql preview`: the first rows of each statement, with the prompts behind them."""

from __future__ import annotations

import json
from pathlib import Path

import click

from distil_sql.cli.options import database_option, model_options, overrides


@click.command("preview")
@click.argument("script", type=click.Path())
@database_option
@click.option("-n", "--rows", default=3, show_default=True, type=click.IntRange(1, 100), help="Rows of each statement.")
@model_options
def command(script: str, database: str, rows: int, **models: str | None) -> None:
    """Show the first rows of each statement of SCRIPT, rendered and answered. Writes nothing, not even the answers."""
    from distil_sql.cli.tables import show
    from distil_sql.pipeline import read_source
    from distil_sql.pipeline.preview import preview

    for shown in preview(read_source(Path(script)), database, rows, overrides(**models)):
        click.secho(f"\n{shown.number}. {shown.label}" + (f"  ({shown.note})" if shown.note else ""), bold=True)
        if shown.columns:
            show(shown.columns, shown.rows)
        for messages, model, response, status, error in shown.calls:
            click.echo(f"\n  {model}:")
            for message in json.loads(messages):
                click.echo(_indented(f"{message['role']}: {message['content']}"))
            click.echo(_indented(f"→ {response}" if status == "ok" else f"→ NULL: {error}"))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
