"""`distil-sql run`: run a script, show how it goes, say how it ended."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from distil_sql.cli.options import (
    budget_options,
    database_option,
    error_ratio_option,
    model_memory_option,
    model_options,
    overrides,
)
from distil_sql.errors import DistilError, Interrupted


@click.command("run")
@click.argument("script", type=click.Path())
@database_option
@model_options
@click.option(
    "--on-error",
    type=click.Choice(["null", "fail"]),
    default="null",
    show_default=True,
    help="What a failed row does: become NULL with its reason in distil.calls, or stop the run.",
)
@error_ratio_option("Stop when more than this share of a statement's calls failed")
@budget_options("this run")
@model_memory_option
@click.option("--overlap/--no-overlap", default=True, help="Ask for the next statement's calls while one is under way.")
@click.option("--restart", is_flag=True, help="Begin at the first statement, even if the last run did not finish.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    script: str,
    database: str,
    quiet: bool,
    generator: str | None,
    labeller: str | None,
    model: str | None,
    embedder: str | None,
    max_model_memory: int | None,
    **options: Any,
) -> None:
    """Run the pipeline SCRIPT, a file or a folder of .sql files, in a DuckDB file.

    Every finished call is kept. After a stop of any kind the same command goes on where it was: statements that are
    done are skipped, calls that are answered are not made again.
    """
    from distil_sql import models
    from distil_sql.cli.progress import Progress
    from distil_sql.pipeline import RunOptions, run

    models.max_model_memory = max_model_memory
    named = overrides(generator, labeller, model, embedder)
    how = RunOptions(named.get("generator"), named.get("labeller"), embedder=named.get("embedder"), **options)
    progress = Progress(quiet=quiet)
    try:
        state = run(Path(script), database, how, progress.show)
    except Interrupted:
        progress.end()
        again = ["distil-sql", "run", script, "-d", database]
        for kind, name in named.items():  # with another model it would be another run
            again += [f"--{kind}", name]
        raise Interrupted(f"interrupted; everything finished is kept. To go on: {shlex.join(again)}") from None
    except DistilError:
        progress.end()
        raise
    progress.end()
    progress.summary(state, database)
