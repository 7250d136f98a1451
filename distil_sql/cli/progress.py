"""How a run looks while it goes: one line that redraws itself on a terminal, plain lines where there is none."""

from __future__ import annotations

import shutil
import sys
import time

import click

from distil_sql.pipeline.execute import MAX_SHOWN
from distil_sql.status import Line, RunState
from distil_sql.wording import ended, running

_REDRAW_S, _PLAIN_EVERY_S = 0.2, 10.0


class Progress:
    """Shows the states that a run reports, on stderr."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._shown: dict[int, str] = {}
        self._last = 0.0
        self._drawn = False

    def show(self, state: RunState) -> None:
        """Called many times a second; draws when something is worth drawing."""
        if self._quiet:
            return
        for line in state.lines:
            if (
                line.state in ("done", "skipped", "failed", "interrupted")
                and self._shown.get(line.statement_no) != line.state
            ):
                self._shown[line.statement_no] = line.state
                self._print(ended(line, len(state.lines)))
                self._result(line)
        current = state.current
        moment = time.monotonic()
        if current is None or moment - self._last < (_REDRAW_S if self._terminal else _PLAIN_EVERY_S):
            return
        if not self._terminal and self._last == 0.0:
            self._last = moment  # the first plain line after a while, not at once
            return
        self._last = moment
        text = running(current, len(state.lines))
        if self._terminal:
            self._draw(text)
        elif current.tally.total:
            click.echo(text, err=True)

    def end(self) -> None:
        """Take the redrawn line away."""
        if self._drawn:
            click.echo("\r\x1b[2K", nl=False, err=True)
            self._drawn = False

    def summary(self, state: RunState, database: str) -> None:
        """The last lines of a run that ended well."""
        if self._quiet:
            return
        tallies = [line.tally for line in state.lines]
        done, failed, hits = (sum(getattr(t, name) for t in tallies) for name in ("done", "failed", "hits"))
        tokens = sum(t.input_tokens + t.output_tokens for t in tallies)
        cost = sum(t.cost for t in tallies if t.priced)
        parts = [f"{done:,} calls", f"{hits:,} answered from the ledger", f"{tokens:,} tokens"]
        if cached := sum(t.cached_tokens for t in tallies):
            read = sum(t.input_tokens for t in tallies)
            parts.append(f"{cached / max(read, cached):.0%} of the prompts' cached")
        if any(t.priced for t in tallies):
            parts.append(f"${cost:,.4f}")
        click.echo(f"done: {', '.join(parts)}", err=True)
        if failed:
            query = "SELECT task, error_kind, error, count(*) FROM distil.calls WHERE status = 'error' GROUP BY ALL"
            click.echo(f"{failed:,} calls failed and are NULL; why: {query}   (in {database})", err=True)

    def _result(self, line: Line) -> None:
        """The first rows of a SELECT, on stdout, where they can be piped."""
        if line.result is None:
            return
        from distil_sql.cli.tables import show

        columns, rows = line.result
        show(columns, rows[:MAX_SHOWN])
        if len(rows) > MAX_SHOWN:
            click.echo(f"… (the first {MAX_SHOWN} rows)")

    def _print(self, text: str) -> None:
        self.end()
        click.echo(text, err=True)

    def _draw(self, text: str) -> None:
        width = shutil.get_terminal_size((100, 24)).columns
        click.echo(f"\r\x1b[2K{text[: width - 1]}", nl=False, err=True)
        self._drawn = True
