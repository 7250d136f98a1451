"""`distil-sql shell`: an interactive prompt, or statements from -c, -f or standard input; how it all looks."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from distil_sql import __version__
from distil_sql.cli.options import budget_options, error_ratio_option, model_memory_option, model_options, overrides
from distil_sql.errors import DistilError, Interrupted, MissingExtra, OptionError

if TYPE_CHECKING:
    from distil_sql.cli.progress import Progress
    from distil_sql.shell import Shell
    from distil_sql.status import Line, RunState

_DRAW_AFTER_S, _REDRAW_S = 0.3, 0.2


@click.command("shell")
@click.argument("database", required=False, metavar="[DATABASE]")
@click.option("-d", "--database", "database_", envvar="DISTIL_DATABASE", help="The same; by default distil.duckdb.")
@click.option("-c", "--command", "commands", multiple=True, metavar="SQL", help="Run this and leave; may be repeated.")
@click.option("-f", "--file", "files", multiple=True, metavar="FILE", help="Run this file, before any -c, and leave.")
@click.option("--mode", metavar="MODE", help="duckbox, csv, json, jsonlines, markdown, line or list.")
@model_options
@budget_options("this session")
@error_ratio_option("Stop a statement when more than this share of its calls failed")
@model_memory_option
def command(
    database: str | None,
    database_: str | None,
    commands: tuple[str, ...],
    files: tuple[str, ...],
    mode: str | None,
    max_cost: float | None,
    max_tokens_total: int | None,
    max_calls: int | None,
    max_error_ratio: float,
    max_model_memory: int | None,
    **named: str | None,
) -> None:
    """A SQL prompt on DATABASE in which tasks are functions; calls are answered once and kept.

    With -c, -f or a script on standard input it runs that and leaves, at the first error with exit code 1.
    """
    from distil_sql import models
    from distil_sql.engine import Budget, Policy
    from distil_sql.pipeline import read_source
    from distil_sql.shell import How, Leave, Shell
    from distil_sql.shell.output import Look, mode_named

    look = Look(mode_named(mode) if mode else "duckbox")
    if folder := next((file for file in files if Path(file).is_dir()), None):
        raise click.UsageError(f"{folder} is a folder: distil-sql run runs it")
    scripts = [read_source(Path(file)) for file in files]
    typing = not commands and not files and sys.stdin.isatty() and sys.stdout.isatty()
    console = Terminal(typing=typing)
    given = click.get_current_context().get_parameter_source("database_")
    if database and database_ and given is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError(f"one database at a time: {database} or {database_}")
    models.max_model_memory = max_model_memory
    budget = Budget(max_cost, max_tokens_total, max_calls)
    how = How(overrides(**named), budget, Policy(max_error_ratio=max_error_ratio))
    signal.signal(signal.SIGTERM, _terminated)
    with Shell(database or database_ or "distil.duckdb", console, how, look) as shell:
        try:
            for source in scripts:
                shell.read_file(source)
            for text in commands:
                shell.feed(text.splitlines(keepends=True), "<-c>")
            if typing:
                _converse(shell, console)
            elif not commands and not files:
                shell.feed(_lines(), "<stdin>")
        except Leave:
            pass
        except Interrupted:
            raise
        except DistilError as error:
            console.error(error, "")
            sys.exit(1)
        sys.stdout.flush()


def _lines() -> Iterator[str]:
    """Standard input, line by line; OptionError where it is no text."""
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise OptionError(f"<stdin>:{number}: this line is not UTF-8 text") from None


def _converse(shell: Shell, console: Terminal) -> None:
    """Ask, run, show, until the user leaves."""
    try:
        from distil_sql.shell.editor import Editor
    except ImportError as error:
        raise MissingExtra(
            f"the prompt needs a package that is not there ({error.name}): pip install prompt_toolkit; "
            "-c, -f and standard input work without it"
        ) from None
    import duckdb

    click.echo(f"distil-sql {__version__} on DuckDB {duckdb.__version__}: {shell.session.path}. Type .help for help.")
    shell.interact(Editor(shell.complete, shell.accepts, shell.functions, console.hint).ask)


def _terminated(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(143)  # not as Ctrl-C, which ends a statement and not the shell


class Terminal:
    """Results on stdout, everything else on stderr."""

    def __init__(self, *, typing: bool) -> None:
        self.typing = typing
        self._draws = sys.stderr.isatty()
        self._drawn = False
        self._since = self._last = 0.0
        self._script: Progress | None = None

    @property
    def width(self) -> int | None:
        """The terminal's width in columns; None where results go elsewhere."""
        return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else None

    def write(self, text: str) -> None:
        """A piece of a result, as it is."""
        sys.stdout.write(text)

    def note(self, text: str) -> None:
        """A remark, dimmed."""
        sys.stdout.flush()
        click.secho(text, dim=True, err=True)

    def hint(self) -> None:
        """What Ctrl-C with nothing typed means to say."""
        self.note("type .quit or press Ctrl-D to leave")

    def error(self, error: DistilError, typed: str) -> None:
        """What went wrong: with file, line and column in a script, with a mark under the place at the prompt."""
        from distil_sql.errors import ScriptError

        sys.stdout.flush()
        text = str(error)
        if self.typing:
            text = re.sub(r"^<input>:\d+(:\d+)?: ", "", text)
        click.secho(text if isinstance(error, Interrupted) else f"error: {text}", fg="red", err=True)
        if self.typing and isinstance(error, ScriptError) and error.file == "<input>":
            lines = typed.split("\n")
            if error.line <= len(lines) and (len(lines) > 1 or error.column > 1):
                head = f"LINE {error.line}: "
                click.echo(f"  {head}{lines[error.line - 1]}\n  {' ' * (len(head) + error.column - 1)}^", err=True)

    def progress(self, line: Line) -> None:
        """How a statement goes, in a line that redraws itself, once it takes a while."""
        from distil_sql.wording import bar, span

        moment = time.monotonic()
        if not self._since:
            self._since = moment
        if not self._draws or moment - self._since < _DRAW_AFTER_S or moment - self._last < _REDRAW_S:
            return
        self._last = moment
        if line.tally.total:
            self._draw(bar(line))
        elif self.typing and moment - self._since > 2:
            self._draw(f"{span(moment - self._since)}  (Ctrl-C cancels)")

    def _draw(self, text: str) -> None:
        width = shutil.get_terminal_size((100, 24)).columns
        click.echo(f"\r\x1b[2K{text[: width - 1]}", nl=False, err=True)
        self._drawn = True

    def clear(self) -> None:
        """Take the redrawn line away."""
        if self._drawn:
            click.echo("\r\x1b[2K", nl=False, err=True)
        if self._script is not None:
            self._script.end()
        self._drawn, self._since, self._script = False, 0.0, None

    def ended(self, line: Line) -> None:
        """What a statement asked, at the prompt; calls that failed, always."""
        from distil_sql.wording import counts, span

        tally = line.tally
        if self.typing and (tally.total or tally.hits):
            parts = [counts(line)]
            if line.started_at and line.finished_at:
                parts.append(span((line.finished_at - line.started_at).total_seconds()))
            self.note("  ".join(parts + ([line.note] if line.note else [])))
        elif self.typing and line.target and tally.rows:
            self.note(f"{tally.rows:,} rows")
        failed = tally.failed + tally.failed_hits
        if failed:
            self.note(f"{failed:,} calls failed and are NULL; why: FROM distil.failures;")

    def script_progress(self, state: RunState) -> None:
        """How a pipeline goes, as `distil-sql run` shows it."""
        from distil_sql.cli.progress import Progress

        if self._script is None:
            self._script = Progress()
        self._script.show(state)

    def script_ended(self, state: RunState) -> None:
        """A pipeline that went well, as `distil-sql run` says it."""
        if self._script is not None:
            self._script.end()
            self._script.summary(state, "distil.calls")
