"""The command line as a process of its own, to be killed, interrupted and watched; and rows of a database file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb

from tests.fake_server import FakeServer


def start(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """`distil-sql` with these arguments, running; `environment` comes on top of this process's own."""
    command = [sys.executable, "-m", "distil_sql", *map(str, arguments)]
    return subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def distil(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`distil-sql` with these arguments, run to its end."""
    process = start(*arguments, **environment)
    out, err = process.communicate(timeout=100)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def query(database: str | Path, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query on a database file that nobody holds, with no function of ours in sight."""
    with duckdb.connect(str(database)) as con:
        return con.execute(sql).fetchall()


def value(database: str | Path, sql: str) -> Any:
    """The one value of a query."""
    ((found,),) = query(database, sql)
    return found


def model(server: FakeServer, name: str = "generator", **options: object) -> str:
    """CREATE MODEL for the fake server."""
    given = {"model": "'fake'", "base_url": f"'{server.base_url}'", **options}
    listed = ", ".join(f"{option} {written}" for option, written in given.items())
    return f"CREATE OR REPLACE MODEL {name} (TYPE openai, {listed});\n"
