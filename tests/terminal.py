"""A program at a real pseudo-terminal: keys are typed into it, and what it draws is read as a person would see it."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

CTRL_C, CTRL_D, ENTER, TAB, UP = "\x03", "\x04", "\r", "\t", "\x1b[A"

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|\x1b[=>78]|\r(?!\n)|\x07")
_ANEW = "\r\x1b[2K"  # before a line that is drawn anew, which is one line more here
# the terminal becomes the one that Ctrl-C comes from
_START = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from distil_sql.cli import main; main()"


class Terminal:
    """`distil-sql` with these arguments at a terminal of its own."""

    def __init__(self, *arguments: str | Path, columns: int = 100, **environment: str) -> None:
        self._own, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        # it cannot say where its cursor is, as a terminal would when asked
        settings = {"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1", **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, *map(str, arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, **settings},
        )
        os.close(theirs)
        self._raw = b""
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._own)

    @property
    def text(self) -> str:
        """All that was drawn so far, without colours and cursor movements."""
        drawn = self._raw.decode(errors="replace").replace(_ANEW, "\n")
        return _ESCAPES.sub("", drawn)

    def type(self, *keys: str) -> None:
        """Press keys."""
        for key in keys:
            os.write(self._own, key.encode())

    def wait_for(self, *wanted: str, timeout_s: float = 30.0) -> str:
        """Read until each of these has appeared, one after the other, behind what was waited for before."""
        start = self._seen
        deadline = time.monotonic() + timeout_s
        for piece in wanted:
            while (at := self.text.find(piece, self._seen)) < 0:
                if time.monotonic() > deadline or not self._read(0.2):
                    raise AssertionError(f"{piece!r} did not appear in:\n{self.text[start:]}")
            self._seen = at + len(piece)
        return self.text[start : self._seen]

    def ask(self, statement: str, *wanted: str, prompt: str = "distil>") -> str:
        """Type a statement, wait for what it shows and for the next prompt."""
        self.type(statement, ENTER)
        return self.wait_for(*wanted, "\n" + prompt)

    def end(self, timeout_s: float = 20.0) -> int:
        """Wait until the program has ended; its exit code."""
        deadline = time.monotonic() + timeout_s
        while self._read(0.2) or self.process.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"it has not ended:\n{self.text[self._seen :]}")
        return self.process.wait()

    def _read(self, wait_s: float) -> bool:
        """Read what is there; False at the end of the program."""
        ready, _, _ = select.select([self._own], [], [], wait_s)
        if not ready:
            return True
        try:
            piece = os.read(self._own, 65536)
        except OSError:  # the program has gone
            return False
        self._raw += piece
        return bool(piece)
