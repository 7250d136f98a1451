"""DuckDB's own shell, as the package `duckdb-cli` brings it: a real process, in a terminal or without one."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import pty
import re
import struct
import subprocess
import termios
from functools import lru_cache
from pathlib import Path
from typing import Any

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


@lru_cache(maxsize=1)
def program() -> str | None:
    """The shell's own binary; None where the package is not installed."""
    found = importlib.util.find_spec("duckdb_cli")
    path = Path(found.origin).parent / "duckdb" if found is not None and found.origin is not None else None
    return str(path) if path is not None and path.is_file() else None


@lru_cache(maxsize=1)
def version() -> str:
    """As DuckDB writes it: 1.5.6."""
    said = subprocess.run([program() or "duckdb", "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[0].lstrip("v")


def command(*statements: str, database: str | Path = ":memory:", mode: str = "-json") -> list[str]:
    """The shell's command line for these statements, one after the other until one fails."""
    shell = program()
    assert shell is not None
    return [shell, "-init", os.devnull, mode, str(database), *(part for sql in statements for part in ("-c", sql))]


def ask(*statements: str, database: str | Path = ":memory:", home: Path | None = None) -> list[list[dict[str, Any]]]:
    """The rows of each statement that gives any; AssertionError with what the shell said where one fails."""
    ended = ended_with(*statements, database=database, home=home)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    decoder, text, results = json.JSONDecoder(), ended.stdout.strip(), []
    while text:
        rows, end = decoder.raw_decode(text)
        results.append(rows)
        text = text[end:].strip()
    return results


def ended_with(
    *statements: str, database: str | Path = ":memory:", home: Path | None = None, mode: str = "-json"
) -> subprocess.CompletedProcess[str]:
    """The shell run to its end, `home` being where it looks for extensions."""
    return subprocess.run(
        command(*statements, database=database, mode=mode),
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def environment(home: Path | None) -> dict[str, str]:
    """This process's, with another home."""
    return {**os.environ, **({} if home is None else {"HOME": str(home)})}


def in_terminal(sql: str, database: str | Path, columns: int = 80) -> list[str]:
    """The lines that a terminal of so many columns shows for a statement, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        command(sql, database=database, mode="-dark-mode"), stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other side is closed
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    assert process.wait(timeout=30) == 0, shown
    return _STYLE.sub("", shown.decode()).splitlines()
