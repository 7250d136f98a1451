"""`distil-sql status`: the latest run, from the tables, or from the sidecar while another process runs it."""

from __future__ import annotations

import json
from typing import Any

import click

from distil_sql.cli.options import database_option, existing


@click.command("status")
@database_option
@click.option("--json", "as_json", is_flag=True, help="Print the run as JSON.")
def command(database: str, as_json: bool) -> None:
    """Show the latest run: its statements, calls, tokens, cost and errors."""
    run = _from_sidecar(existing(database)) or _from_tables(database)
    if run is None:
        click.echo(f"no run yet in {database}")
        return
    if as_json:
        click.echo(json.dumps(run, default=str, indent=2))
        return
    from distil_sql.cli.tables import show

    error = f": {run['error']}" if run.get("error") else ""
    click.echo(f"{run['script']}  {run['state']}{error}")
    names = ["statement_no", "target", "state", "calls_done", "calls_total", "calls_failed", "ledger_hits"]
    names += ["input_tokens", "output_tokens", "cost", "note"]
    headers = [
        "#",
        "target",
        "state",
        "done",
        "calls",
        "failed",
        "from ledger",
        "tokens in",
        "tokens out",
        "cost",
        "note",
    ]
    rows = [[_blank(line.get(name)) for name in names] for line in run["statements"]]
    show(headers, rows)


def _blank(value: object) -> object:
    return "" if value is None else value


def _from_sidecar(database: str) -> dict[str, Any] | None:
    """What a running process says of itself; None where it has gone."""
    import os

    from distil_sql.status import sidecar_path

    path = sidecar_path(database)
    try:
        run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path else {}
        os.kill(int(run["pid"]), 0)
    except (OSError, ValueError, KeyError):
        return None
    return run


def _from_tables(database: str) -> dict[str, Any] | None:
    import duckdb

    from distil_sql.session import database_error

    try:
        with duckdb.connect(database, read_only=True) as con:
            if not con.execute(
                "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'distil' AND table_name = 'runs'"
            ).fetchone():
                return None
            run = _rows(
                con, "SELECT * REPLACE (run_id::VARCHAR AS run_id) FROM distil.runs ORDER BY started_at DESC LIMIT 1"
            )
            if not run:
                return None
            query = "SELECT * EXCLUDE (run_id) FROM distil.status WHERE run_id = ? ORDER BY statement_no"
            return _as_found({**run[0], "statements": _rows(con, query, [run[0]["run_id"]])})
    except duckdb.Error as error:
        raise database_error(database, error) from None


def _as_found(run: dict[str, Any]) -> dict[str, Any]:
    """A run that was killed still says `running`, but whoever holds the file now, it is not that run."""
    for row in (run, *run["statements"]):
        row["state"] = "interrupted" if row["state"] == "running" else row["state"]
    return run


def _rows(con: Any, query: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
    found = con.execute(query, values or [])
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
