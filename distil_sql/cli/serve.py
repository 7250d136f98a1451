"""`distil-sql serve`: the tasks of a database for DuckDB's own shell, in this process and on this machine."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
import time
from typing import TYPE_CHECKING

import click

from distil_sql.cli.options import budget_options, error_ratio_option, model_options, overrides

if TYPE_CHECKING:
    from distil_sql.serve import Server

_TOKEN = "DISTIL_SQL_TOKEN"
_REPORT_S = 1.0


@click.command("serve")
@click.argument("database", default="distil.duckdb", envvar="DISTIL_DATABASE")
@click.option("--port", type=click.IntRange(0, 65535), default=9595, show_default=True, help="0 is any that is free.")
@click.option("--host", default="localhost", show_default=True, help="The address to listen on.")
@click.option("--token", help=f"What clients must know; made if not given. Better set as {_TOKEN}.")
@model_options
@budget_options("this server, for all clients together,")
@error_ratio_option("Fail a query when more than this share of the calls failed")
def command(
    database: str,
    port: int,
    host: str,
    token: str | None,
    generator: str | None,
    labeller: str | None,
    model: str | None,
    embedder: str | None,
    max_cost: float | None,
    max_tokens_total: int | None,
    max_calls: int | None,
    max_error_ratio: float,
) -> None:
    """Let DuckDB's own shell call the tasks of DATABASE.

    Every call is kept in the database, and no prompt is asked twice. Ctrl-C ends it.
    """
    from distil_sql.engine import Budget, Policy
    from distil_sql.serve import Server
    from distil_sql.session import Session

    if not os.path.exists(database):
        raise click.UsageError(f"there is no database {database}: distil-sql run makes one")
    in_environment = os.environ.get(_TOKEN)
    if token is not None:
        click.echo(f"the token stands in the list of processes for others to read: set {_TOKEN} instead", err=True)
    session = Session.open(database)
    try:
        named = overrides(generator, labeller, model, embedder)
        budget = Budget(max_cost, max_tokens_total, max_calls)
        session.configure(Policy(max_error_ratio=max_error_ratio), budget, named)
        with Server(session, host, port, token or in_environment or secrets.token_urlsafe(24)) as server:
            _say_hello(server, f"getenv('{_TOKEN}')" if in_environment and token is None else None)
            with contextlib.suppress(KeyboardInterrupt):
                _wait(server)
            for ending in (signal.SIGINT, signal.SIGTERM):  # it is ending, within seconds
                signal.signal(ending, signal.SIG_IGN)
            click.echo("stopping", err=True)
    finally:
        session.close()
    _say_goodbye(server)


def _say_hello(server: Server, token: str | None) -> None:
    """What to type elsewhere; a token that was chosen is not repeated."""
    tasks = len(server.session.registry.tasks)
    click.echo(f"serving {server.session.path}, {tasks} tasks, on {server.host}:{server.port}. In a DuckDB shell:\n")
    click.echo(f"  {server.attach(token)}")
    click.echo("  FROM r.query('SELECT text_generation(''Name a colour.'')');\n")
    if not server.is_local:
        click.echo(
            "Other machines can reach this. Whoever has the token may do what you may: read and write this database and"
            " your files. Nothing is encrypted: where the network is not yours, use a tunnel or a proxy with TLS.",
            err=True,
        )
    click.echo("Ctrl-C stops it; everything finished is kept.", err=True)


def _wait(server: Server) -> None:
    while True:
        time.sleep(_REPORT_S)
        if server.changed:
            server.report()


def _say_goodbye(server: Server) -> None:
    tally = server.tally
    parts = [f"{tally.done:,} calls" + (f" ({tally.failed:,} failed)" if tally.failed else "")]
    parts.append(f"{tally.input_tokens + tally.output_tokens:,} tokens")
    if tally.priced:
        parts.append(f"${tally.cost:,.4f}")
    click.echo(f"stopped: {', '.join(parts)}", err=True)
    if not server.stopped_clean:
        click.echo("a client's query was still running, and is lost; every call that was answered is kept", err=True)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # its thread would come back into a Python that is gone
