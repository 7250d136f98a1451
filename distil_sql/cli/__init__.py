"""The command line: the only place that prints or sets an exit code.

`distil-sql run pipeline.sql -d data.duckdb`; every verb is a module beside this one, loaded when it is used.
"""

from __future__ import annotations

import importlib
import signal
import sys
import warnings
from types import FrameType
from typing import Any

import click

from distil_sql import __version__
from distil_sql.errors import DistilError, DistilWarning

_VERBS = {
    "run": "Run a pipeline: generate and label, resuming where it stopped.",
    "shell": "A SQL prompt in which tasks are functions; also for -c and scripts.",
    "serve": "Let DuckDB's own shell call the tasks of a database.",
    "preview": "Show the first rows of each statement, rendered and answered; write nothing.",
    "plan": "Say what a run would ask, cost and take; make no call.",
    "retry": "Ask failed calls again, and those alone.",
    "status": "Show the latest run, also while it is running.",
    "tasks": "List the tasks, or show one.",
    "models": "List the models.",
    "export": "Write a table to a file, in a training-set format or as it is.",
    "dbt": "Print a packages.yml for a dbt project.",
    "push": "Send a table to the Hugging Face Hub, with a card that says how it was made.",
}


class _Verbs(click.Group):
    """Commands by name, each imported only when it is called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        command: click.Command = importlib.import_module(f"distil_sql.cli.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in _VERBS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], _VERBS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f": the commands are {', '.join(_VERBS)}"
            ctx.fail(f"there is no command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="distil-sql")
def cli() -> None:
    """Build datasets with and for language models, in SQL."""


def main() -> None:
    """The entry point: errors of ours become one line on stderr and an exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    warnings.showwarning = _warned
    try:
        cli.main(prog_name="distil-sql", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except DistilError as error:
        click.secho(f"error: {error}", fg="red", err=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if type(error).__module__.lstrip("_").split(".")[0] != "duckdb":
            raise
        click.secho(f"error: the database failed: {' '.join(str(error).split())}", fg="red", err=True)
        sys.exit(1)


def _terminated(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # a termination is handled as Ctrl-C is: finish what can be, and say how to go on


def _warned(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    """Our warnings are for the reader of the terminal; others keep their form."""
    ours = issubclass(category, DistilWarning)
    text = f"warning: {message}" if ours else warnings.formatwarning(message, category, filename, lineno).rstrip()
    click.secho(text, fg="yellow" if ours else None, err=True)
