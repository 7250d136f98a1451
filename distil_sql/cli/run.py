"""`distil-sql run`: run a script, show how it goes, say how it ended."""

from __future__ import annotations

import shlex
from typing import Any

import click

from distil_sql.cli.options import database_option, size
from distil_sql.errors import DistilError, Interrupted


@click.command("run")
@click.argument("script", type=click.Path())
@database_option
@click.option("--generator", metavar="MODEL", help="Model for generator tasks, in place of the one named 'generator'.")
@click.option("--labeller", metavar="MODEL", help="Model for labeller tasks, in place of the one named 'labeller'.")
@click.option("--model", metavar="MODEL", help="Model for both kinds.")
@click.option(
    "--on-error",
    type=click.Choice(["null", "fail"]),
    default="null",
    show_default=True,
    help="What a failed row does: become NULL with its reason in distil.calls, or stop the run.",
)
@click.option(
    "--max-error-ratio",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Stop when more than this share of a statement's calls failed (after the first 50).",
)
@click.option("--max-cost", type=click.FloatRange(0), metavar="USD", help="Stop before this run spends more.")
@click.option("--max-tokens-total", type=click.IntRange(0), metavar="N", help="Stop before it uses more tokens.")
@click.option("--max-calls", type=click.IntRange(0), metavar="N", help="Stop before it makes more calls.")
@click.option(
    "--max-model-memory", type=size, metavar="SIZE", help="What embedded models may take together, such as 8GB."
)
@click.option("--overlap/--no-overlap", default=True, help="Ask for the next statement's calls while one is under way.")
@click.option("--restart", is_flag=True, help="Begin at the first statement, even if the last run did not finish.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    script: str, database: str, quiet: bool, model: str | None, max_model_memory: int | None, **options: Any
) -> None:
    """Run the pipeline SCRIPT in a DuckDB file.

    Every finished call is kept. After a stop of any kind the same command goes on where it was: statements that are
    done are skipped, calls that are answered are not made again.
    """
    from distil_sql import models
    from distil_sql.cli.progress import Progress
    from distil_sql.pipeline import RunOptions, read_source, run

    models.max_model_memory = max_model_memory
    for kind in ("generator", "labeller"):
        options[kind] = options[kind] or model
    progress = Progress(quiet=quiet)
    read_source(_path(script))
    try:
        state = run(_path(script), database, RunOptions(**options), progress.show)
    except Interrupted:
        progress.end()
        again = ["distil-sql", "run", script, "-d", database]
        for role in ("generator", "labeller"):  # with another model it would be another run
            again += [f"--{role}", options[role]] if options[role] else []
        raise Interrupted(f"interrupted; everything finished is kept. To go on: {shlex.join(again)}") from None
    except DistilError:
        progress.end()
        raise
    progress.end()
    progress.summary(state, database)


def _path(script: str) -> Any:
    """A script argument is always a path, never SQL text."""
    from pathlib import Path

    return Path(script)
