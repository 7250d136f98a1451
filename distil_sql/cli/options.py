"""Options that several commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

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


class Size(click.ParamType):
    """An amount of memory: 8GB, 512MiB, 1.5G; a number alone is bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?)b?\s*", str(value).lower())
        if found is None:
            self.fail(f"{value!r} is no amount of memory: write it as 8GB or 512MB", param, ctx)
        number, unit, binary = found.groups()
        return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(unit or " "))
