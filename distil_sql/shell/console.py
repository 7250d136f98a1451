"""What the shell needs of whoever started it: somewhere to write results, notes and progress."""

from __future__ import annotations

from typing import Protocol

from distil_sql.errors import DistilError
from distil_sql.status import Line, RunState


class Console(Protocol):
    """Where the shell's output goes. `width` is the terminal's in columns, None where there is no terminal."""

    @property
    def width(self) -> int | None: ...

    def write(self, text: str) -> None:
        """A piece of a result, newlines included."""
        ...

    def note(self, text: str) -> None:
        """A remark to the person, apart from results."""
        ...

    def error(self, error: DistilError, typed: str) -> None:
        """What went wrong, and what was typed when it did."""
        ...

    def progress(self, line: Line) -> None:
        """How a statement goes, several times a second."""
        ...

    def ended(self, line: Line) -> None:
        """A statement that went well: what it asked and wrote."""
        ...

    def script_progress(self, state: RunState) -> None:
        """How a pipeline goes, several times a second."""
        ...

    def script_ended(self, state: RunState) -> None:
        """A pipeline that went well."""
        ...

    def clear(self) -> None:
        """The statement or pipeline is over: take its progress away."""
        ...
