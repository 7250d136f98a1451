"""`distil-sql push`: a table as a dataset repository on the Hugging Face Hub, or as the folder that would go up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from distil_sql.cli.export import shape_of, shape_options
from distil_sql.cli.options import database_option, existing


@click.command("push")
@click.argument("table")
@click.argument("repository", metavar="ORG/NAME")
@click.option(
    "-f",
    "--format",
    "format_",
    type=click.Choice(["sft", "prompt-completion", "dpo", "orpo", "reward", "kto"]),
    help="The shape that a trainer reads; without it the table as it is.",
)
@click.option("--license", "license_", help="The licence to put on the card; none is put there without it.")
@click.option("--private", is_flag=True, help="Make the repository private, if it is new.")
@click.option("--message", default="Upload with distil-sql", show_default=True, help="The commit message.")
@click.option("--dry-run", "folder", type=click.Path(), metavar="FOLDER", help="Write the folder; send nothing.")
@shape_options
@database_option
def command(
    table: str,
    repository: str,
    format_: str | None,
    license_: str | None,
    private: bool,
    message: str,
    folder: str | None,
    database: str,
    **options: Any,
) -> None:
    """Send TABLE to the dataset repository ORG/NAME, with a card that says how it was made.

    The card has the columns' statistics, the tasks with their prompt hashes, the models with their parameters, tokens
    and cost, and the pipeline's SQL, where what looks like a key is masked: look at it first with --dry-run.
    The token is HF_TOKEN's or that of 'hf auth login'.
    """
    import tempfile

    from distil_sql.export import rows_of
    from distil_sql.export.hub import check_repository, make_folder, upload
    from distil_sql.session import Session

    check_repository(repository)
    with tempfile.TemporaryDirectory(prefix="distil-sql-") as made:
        place = Path(folder or made)
        session = Session.open(existing(database))
        try:
            con = session.cursor()
            rows = rows_of(con, table, shape_of(format_, options))
            counts, notes = make_folder(
                con, session.registry, rows, repository, place, license_=license_, test=options["test"],
                seed=options["seed"] or 0, by=options["split_by"],
            )  # fmt: skip
        finally:
            session.close()
        for note in notes:
            click.echo(f"note: {note}", err=True)
        told = ", ".join(f"{count:,} rows of {part}" for part, count in counts.items())
        if folder:
            click.echo(f"{told} in {folder}; nothing was sent")
        else:
            click.echo(f"{told} in {upload(place, repository, private=private, message=message)}")
