"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

database_option = click.option(
    "-d",
    "--database",
    default="distil.duckdb",
    show_default=True,
    envvar="DISTIL_DATABASE",
    help="The DuckDB file to work in; made if it does not exist.",
)


def existing(database: str) -> str:
    """A database file that is there; a usage error otherwise."""
    if not Path(database).exists():
        raise click.UsageError(f"there is no database {database}: name one with -d")
    return database
