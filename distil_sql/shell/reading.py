"""What was typed, cut into dot commands and statements: `read(lines, "<stdin>")`.

A dot command is a line of its own that starts with a dot; a statement goes on until a semicolon that stands outside
quotes, dollar quotes and comments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from distil_sql.errors import ScriptError
from distil_sql.script import Source, tokenize


@dataclass(frozen=True)
class Dot:
    """A dot command, with the place it was read from."""

    text: str
    line: int
    file: str

    @property
    def place(self) -> str:
        """How errors begin: with the line of the file."""
        return f"{self.file}:{self.line}: "


def read(lines: Iterable[str], file: str) -> Iterator[Dot | Source]:
    """Dot commands and pieces of SQL, each as soon as its last line is there; places count from the first line."""
    pending: list[str] = []
    number = 0
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith(".") and is_blank("".join(pending)):
            pending = []
            yield Dot(line.strip(), number, file)
            continue
        pending.append(line if line.endswith("\n") else line + "\n")
        if ";" in line and is_whole("".join(pending)):
            yield _placed(pending, number, file)
            pending = []
    if not is_blank("".join(pending)):
        yield _placed(pending, number, file)


def is_whole(text: str) -> bool:
    """Whether a piece of SQL ends with the semicolon of its last statement, or has no statement in it."""
    try:
        tokens = tokenize(Source(text))
    except ScriptError:  # a quote or comment is open
        return False
    return not tokens or (tokens[-1].kind == "op" and tokens[-1].text == ";")


def is_blank(text: str) -> bool:
    """Whether a piece of SQL is white space and comments alone."""
    try:
        return not text.strip() or not tokenize(Source(text))
    except ScriptError:
        return False


def _placed(lines: list[str], last: int, file: str) -> Source:
    """Empty lines in place of what has run already, so that errors name the line of the whole."""
    return Source("\n" * (last - len(lines)) + "".join(lines), file)
