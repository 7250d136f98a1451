"""A script as a list of statements: our DDL read, everything else kept verbatim for DuckDB.

`read_script(Source(text, file))` is the way in; it raises ScriptError with a place for anything it cannot read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from distil_sql.script.lexer import Source, Token, tokenize
from distil_sql.task import Task


@dataclass(frozen=True)
class Statement:
    """One statement: its text without the semicolon, its offset in the script, its tokens (with script offsets)."""

    number: int
    text: str
    offset: int
    tokens: tuple[Token, ...]
    source: Source

    def error(self, message: str, *, at: int | None = None) -> Exception:
        """A ScriptError at an offset of the script (default: where the statement starts)."""
        return self.source.error(self.offset if at is None else at, message)

    def error_naming(self, message: str, *, besides: str = "") -> Exception:
        """A ScriptError where the statement has the first name that the message quotes (other than `besides`)."""
        for quoted in re.findall(r"'([^']+)'", message):
            for token in self.tokens if quoted.lower() != besides.lower() else ():
                meant = token.value if token.kind == "string" else token.name
                if meant.lower() == quoted.lower():
                    return self.error(message, at=token.start)
        return self.error(message)

    @property
    def line(self) -> int:
        return self.source.line(self.offset)


@dataclass(frozen=True)
class Sql(Statement):
    """A statement of DuckDB's own, never rewritten."""

    @cached_property
    def verb(self) -> str:
        """Its leading keyword, upper case: SELECT, CREATE, INSERT, …"""
        first = next((token for token in self.tokens if token.text != "("), self.tokens[0])
        return first.text.upper()


@dataclass(frozen=True)
class CreateModel(Statement):
    """CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name (TYPE …, option value, …)."""

    name: str
    options: Mapping[str, object]
    replace: bool
    if_not_exists: bool


@dataclass(frozen=True)
class CreateTask(Statement):
    """CREATE [OR REPLACE] GENERATOR | LABELLER TASK [IF NOT EXISTS] name(…) …"""

    task: Task
    replace: bool
    if_not_exists: bool
    prompt_start: int
    system_start: int
    returns_start: int
    parse_start: int


@dataclass(frozen=True)
class Drop(Statement):
    """DROP MODEL | TASK [IF EXISTS] name."""

    what: str
    name: str
    if_exists: bool


@dataclass(frozen=True)
class LoadTasks(Statement):
    """LOAD TASKS 'folder or file' | package [AS name]; the name goes before those of the tasks.

    `earlier` are the lower-case names of the tasks that the script itself makes before it.
    """

    what: str
    is_path: bool
    prefix: str | None
    earlier: tuple[str, ...] = ()


def split(source: Source) -> list[tuple[Token, ...]]:
    """The tokens of each statement, without semicolons; empty statements are dropped."""
    statements: list[tuple[Token, ...]] = []
    current: list[Token] = []
    for token in tokenize(source):
        if token.kind == "op" and token.text == ";":
            if current:
                statements.append(tuple(current))
            current = []
        else:
            current.append(token)
    if current:
        statements.append(tuple(current))
    return statements


def read_script(source: Source) -> list[Statement]:
    """Every statement of a script, in order, numbered from 1."""
    from distil_sql.script.ddl import read_ddl

    statements: list[Statement] = []
    for number, tokens in enumerate(split(source), start=1):
        start, end = tokens[0].start, tokens[-1].end
        plain = Sql(number, source.text[start:end], start, tokens, source)
        statement = read_ddl(plain) or plain
        if isinstance(statement, LoadTasks):
            statement = replace(statement, earlier=tasks_made(statements))
            _check_names(statement, statements)
        statements.append(statement)
    if not statements:
        raise source.error(0, "there is no statement in this script")
    return statements


def _check_names(statement: LoadTasks, earlier: Iterable[Statement]) -> None:
    """Raise where two folders would go by one name."""
    for other in earlier:
        if isinstance(other, LoadTasks) and statement.is_path and other.is_path and not statement.prefix:
            one, two = os.path.normpath(other.what), os.path.normpath(statement.what)
            if one != two and os.path.basename(one).lower() == os.path.basename(two).lower() and not other.prefix:
                both = f"{other.what!r} and {statement.what!r} would both go by {os.path.basename(two)!r}"
                raise statement.error(f"{both}: give one a name of its own, LOAD TASKS {statement.what!r} AS name")


def tasks_made(statements: Iterable[Statement]) -> tuple[str, ...]:
    """The lower-case names of the tasks that these statements make."""
    return tuple(statement.task.name.lower() for statement in statements if isinstance(statement, CreateTask))
