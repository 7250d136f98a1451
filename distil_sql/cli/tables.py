"""Rows as an aligned table on stdout, cut to the terminal's width; every cell where there is no terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

import click


def show(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table."""
    cells = [[_cell(value) for value in row] for row in rows]
    limit = max(12, shutil.get_terminal_size((100, 24)).columns // 3) if sys.stdout.isatty() else 60
    cells = [[text if len(text) <= limit else text[: limit - 1] + "…" for text in row] for row in cells]
    widths = [
        max(len(header), *(len(row[i]) for row in cells)) if cells else len(header) for i, header in enumerate(headers)
    ]
    click.echo("  ".join(h.ljust(w) for h, w in zip(headers, widths, strict=True)).rstrip())
    click.echo("  ".join("─" * w for w in widths))
    for row in cells:
        click.echo("  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, float):
        return f"{value:,.4f}"
    return " ".join(str(value).split())
