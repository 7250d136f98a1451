"""`distil-sql models`: the models of a database. Keys are never shown: only the name of their variable is known."""

from __future__ import annotations

import json

import click

from distil_sql.cli.options import database_option, existing


@click.command("models")
@database_option
def command(database: str) -> None:
    """List the models of a database."""
    from distil_sql.cli.tables import show
    from distil_sql.session import Session

    session = Session.open(existing(database))
    try:
        models = sorted(session.registry.models.values(), key=lambda spec: spec.name)
        if not models:
            click.echo(f"no models in {database}: CREATE MODEL makes one")
            return
        rows = [[spec.name, spec.type, json.dumps(dict(spec.options)), spec.version] for spec in models]
        show(["model", "type", "options", "version"], rows)
    finally:
        session.close()
