"""Options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])

database_option = click.option(
    "-d",
    "--database",
    default="distil.duckdb",
    show_default=True,
    envvar="DISTIL_DATABASE",
    help="The DuckDB file to work in; made if it does not exist.",
)


def model_options(command: _Command) -> _Command:
    """Adds --generator, --labeller, --embedder and --model, which `overrides` puts together."""
    for option, what in (
        ("--embedder", "Model for embedder tasks, in place of the one named 'embedder'."),
        ("--model", "Model for generator and labeller tasks."),
        ("--labeller", "Model for labeller tasks, in place of the one named 'labeller'."),
        ("--generator", "Model for generator tasks, in place of the one named 'generator'."),
    ):
        command = click.option(option, metavar="MODEL", help=what)(command)
    return command


def overrides(
    generator: str | None, labeller: str | None, model: str | None, embedder: str | None = None
) -> dict[str, str]:
    """The models named, by kind of task."""
    named = {"generator": generator or model, "labeller": labeller or model, "embedder": embedder}
    return {kind: name for kind, name in named.items() if name}


def existing(database: str) -> str:
    """A database file that is there; a usage error otherwise."""
    if not Path(database).exists():
        raise click.UsageError(f"there is no database {database}: name one with -d")
    return database


def size(text: str) -> int:
    """An amount of memory in bytes: 8GB, 512MiB, 1.5G; a number alone is bytes."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?)b?\s*", text.lower())
    if found is None:
        raise click.BadParameter(f"{text!r} is no amount of memory: write it as 8GB or 512MB")
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(unit or " "))
