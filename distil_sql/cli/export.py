"""`distil-sql export`: a table as a file, in a training-set format or as it is."""

from __future__ import annotations

from typing import Any

import click

from distil_sql.cli.options import database_option, existing

ROLES = ("prompt", "response", "score", "wanted", "system")
SETTINGS = ("strategy", "keep_ties", "margin", "min_score", "best", "seed")


def shape_options(command: Any) -> Any:
    """The options that say in which shape a table goes out; `export` and `push` share them."""
    for option in reversed(
        (
            click.option("--prompt", metavar="SQL", help="Expression for the prompt, if no column is called so."),
            click.option("--response", metavar="SQL", help="Expression for the answer."),
            click.option("--score", metavar="SQL", help="Expression for the score, such as verdict.score."),
            click.option("--wanted", metavar="SQL", help="Condition for a wanted answer (kto), such as 'score >= 4'."),
            click.option("--system", metavar="SQL", help="Expression for the system prompt."),
            click.option("--strategy", type=click.Choice(["worst", "random", "all"]), help="Which answer to reject."),
            click.option("--keep-ties", is_flag=True, default=None, help="Let pairs of equal score stand."),
            click.option("--margin", type=float, help="How much better the chosen answer has to be."),
            click.option("--min-score", type=float, help="Leave out answers below it."),
            click.option("--best", is_flag=True, default=None, help="Keep the best answer of each prompt only."),
            click.option("--seed", type=int, help="Seed of draws, ties and splits."),
            click.option("--test", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="SHARE",
                         help="Keep this share of prompts apart as a test split."),
            click.option("--split-by", metavar="SQL", help="What stays together in a split; by default the prompt."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def shape_of(format_: str | None, options: dict[str, Any]) -> Any:
    """The options as a Shape."""
    from distil_sql.export.formats import FORMATS, Shape

    roles = {role: options[role] for role in ROLES if options[role] is not None}
    settings = {s: options[s] for s in SETTINGS if options[s] is not None}
    if options["test"] and "seed" not in (FORMATS[format_].settings if format_ else ()):
        settings.pop("seed", None)  # it is the split's
    if options["split_by"] and not options["test"]:
        raise click.UsageError("--split-by says what stays together in a split: add --test SHARE")
    return Shape(format_, roles, settings)


@click.command("export")
@click.argument("table")
@click.option("-o", "--output", required=True, help="A .parquet, .jsonl, .json or .csv file; a folder for argilla.")
@click.option(
    "-f",
    "--format",
    "format_",
    type=click.Choice(["sft", "prompt-completion", "dpo", "orpo", "reward", "kto", "argilla"]),
    help="The shape that a trainer reads; without it the table as it is.",
)
@shape_options
@database_option
def command(table: str, output: str, format_: str | None, database: str, **options: Any) -> None:
    """Write TABLE to a file.

    Columns are found by their names (prompt or instruction, response, score or a struct's score); any SQL expression
    over the table's columns can take their place.
    """
    from pathlib import Path

    from distil_sql.export import parts_of, rows_of, write_file
    from distil_sql.session import Session

    session = Session.open(existing(database))
    try:
        con = session.cursor()
        if format_ == "argilla":
            from distil_sql.export.argilla import write_records

            given = [name for name in (*ROLES, *SETTINGS, "test", "split_by") if options[name] is not None]
            if given:
                raise click.UsageError(f"--{given[0].replace('_', '-')} is not for --format argilla")
            click.echo(f"{write_records(con, session.registry, table, Path(output)):,} records in {output}")
            return
        rows = rows_of(con, table, shape_of(format_, options))
        parts, notes = parts_of(con, rows, options["test"], seed=options["seed"] or 0, by=options["split_by"])
        stem, dot, ending = output.rpartition(".")
        for part, chosen in parts.items():
            file = output if part == "train" else f"{stem}.{part}{dot}{ending}"
            click.echo(f"{write_file(con, chosen, file):,} rows in {file}")
        for note in notes:
            click.echo(f"note: {note}", err=True)
    finally:
        session.close()
