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


def budget_options(who: str) -> Callable[[_Command], _Command]:
    """Adds --max-cost, --max-tokens-total and --max-calls, which bound what `who` uses: "this run"."""

    def add(command: _Command) -> _Command:
        for option, kind, unit, what in (
            ("--max-calls", click.IntRange(0), "N", "Stop before it makes more calls."),
            ("--max-tokens-total", click.IntRange(0), "N", "Stop before it uses more tokens."),
            ("--max-cost", click.FloatRange(0), "USD", f"Stop before {who} spends more."),
        ):
            command = click.option(option, type=kind, metavar=unit, help=what)(command)
        return command

    return add


def error_ratio_option(what: str) -> Callable[[_Command], _Command]:
    """Adds --max-error-ratio, of which `what` says what more failures do: "Stop when more than this share …"."""
    text = f"{what} (after the first 50)."
    return click.option("--max-error-ratio", type=click.FloatRange(0, 1), default=0.5, show_default=True, help=text)


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


model_memory_option = click.option(
    "--max-model-memory", type=size, metavar="SIZE", help="What embedded models may take together, such as 8GB."
)
