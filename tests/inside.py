"""The command line run in this process: as quick as a function, with the exit code and messages of the real one."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from distil_sql.cli import main


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def distil(*arguments: str | Path) -> Ended:
    """`distil-sql` with these arguments."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch("sys.argv", ["distil-sql", *map(str, arguments)]),
        mock.patch("signal.signal"),  # this process keeps its own
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())
