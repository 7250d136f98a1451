"""`distil-sql plan`: what a run would ask and cost."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from distil_sql.cli.options import database_option, model_options, overrides


@click.command("plan")
@click.argument("script", type=click.Path())
@database_option
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(script: str, database: str, as_json: bool, **models: str | None) -> None:
    """Say what SCRIPT would do: rows, calls, answers at hand, tokens, cost and time. Makes no call, writes nothing."""
    from distil_sql.cli.tables import show
    from distil_sql.pipeline import read_source
    from distil_sql.pipeline.plan import plan
    from distil_sql.wording import span

    planned = list(plan(read_source(Path(script)), database, overrides(**models)))
    if as_json:
        click.echo(json.dumps([asdict(line) for line in planned], indent=2))
        return
    rows = [
        [
            line.number,
            line.label,
            line.rows,
            line.calls,
            line.hits,
            _range(line.input_tokens),
            _range(line.output_tokens),
            _usd(line.cost),
            span(line.seconds),
            line.note or "",
        ]
        for line in planned
    ]
    show(["#", "statement", "rows", "calls", "from ledger", "tokens in", "tokens out", "cost", "time", "note"], rows)
    costs = [line.cost for line in planned if line.cost]
    total = _usd((sum(low for low, _ in costs), sum(high for _, high in costs)) if costs else None)
    calls, seconds = sum(line.calls for line in planned), sum(line.seconds for line in planned)
    click.echo(f"\n{calls:,} calls, {total or 'no price known'}, about {span(seconds)}")


def _range(tokens: tuple[int, int]) -> str:
    return f"{tokens[0]:,} - {tokens[1]:,}" if tokens[1] else "0"


def _usd(cost: tuple[float, float] | None) -> str:
    return f"${cost[0]:,.4f} - ${cost[1]:,.4f}" if cost else ""
