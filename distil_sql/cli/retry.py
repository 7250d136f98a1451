"""`distil-sql retry`: ask failed calls again."""

from __future__ import annotations

import click

from distil_sql.cli.options import database_option, existing


@click.command("retry")
@database_option
@click.option("--where", metavar="SQL", help="Which failed calls, over distil.calls: \"error_kind = 'truncated'\".")
def command(database: str, where: str | None) -> None:
    """Ask the failed calls of a database again, and those alone.

    Run the script again to have the answers in its tables.
    """
    from distil_sql.cli.progress import Progress
    from distil_sql.pipeline.retry import retry
    from distil_sql.session import Session

    session = Session.open(existing(database))
    progress = Progress()
    try:
        done = retry(session, where, progress.show)
    finally:
        progress.end()
        session.close()
    click.echo(f"{done.asked:,} failed calls asked again, {done.answered:,} answered", err=True)
    if done.changed:
        why = "their task or model has changed or gone, or their row chose the schema"
        click.echo(f"{done.changed:,} left: {why}; delete them from distil.calls and run the script again", err=True)
