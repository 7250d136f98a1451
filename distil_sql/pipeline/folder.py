"""A folder of `.sql` files as one script: `distil-sql run pipeline/ -d data.duckdb`.

Each file holds statements, or a query alone, which becomes the table that the file is named after. Files run in the
order in which they need each other's tables, tasks, models and macros, and by name where they do not.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from distil_sql.errors import OptionError
from distil_sql.library.loading import loaded_names
from distil_sql.library.sets import sql_files
from distil_sql.quoting import name
from distil_sql.script import LoadTasks, Source, Sql, Statement, read_script
from distil_sql.script.anatomy import is_query
from distil_sql.script.statements import split, tasks_made

if TYPE_CHECKING:
    from distil_sql.pipeline.needs import File  # with sqlglot, which takes a while to load


@dataclass(frozen=True)
class Folder(Source):
    """All the files of a folder. `text` is theirs, with their names; `statements` are in the order to run them in."""

    statements: tuple[Statement, ...] = ()

    @property
    def folder(self) -> Path:
        return Path(self.file).resolve()


def statements_of(source: Source) -> Sequence[Statement]:
    """The statements of a script, or of a folder in the order in which they can run; raises ScriptError."""
    return source.statements if isinstance(source, Folder) else read_script(source)


def read_folder(path: Path) -> Folder:
    """The `.sql` files of a folder, in order; raises OptionError, and ScriptError where no order is right."""
    found = sql_files(path)
    if not found:
        raise OptionError(f"there is no .sql file in the folder {path}")
    sources = [_read(file) for file in found]
    files = [_file(source) for source in sources if split(source)]  # comments alone are nothing to run
    if not files:
        raise OptionError(f"there is no statement in the .sql files of the folder {path}")
    statements: list[Statement] = []
    for file in _in_order(files):
        for statement in file.statements:
            numbered = replace(statement, number=len(statements) + 1)
            if isinstance(numbered, LoadTasks):
                numbered = replace(numbered, earlier=tasks_made(statements))
            statements.append(numbered)
    text = "\0".join(f"{file.name}\0{source.text}" for file, source in zip(found, sources, strict=True))
    return Folder(text, str(path) if path.name else path.resolve().name, statements=tuple(statements))


def _read(path: Path) -> Source:
    try:
        return Source(path.read_text(encoding="utf-8-sig"), str(path))
    except UnicodeDecodeError:
        raise OptionError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror}") from None


def _file(source: Source) -> File:
    """A file's statements; a query alone makes the table that the file is named after."""
    from distil_sql.pipeline.needs import File

    statements = read_script(source)
    only = statements[0]
    if len(statements) == 1 and isinstance(only, Sql) and is_query(only):
        made = f"CREATE OR REPLACE TABLE {_plain(Path(source.file).stem)} AS "
        at = only.offset
        text = source.text[:at] + made + source.text[at:]
        statements = read_script(Source(text, source.file, (at, at + len(made))))
    return File(Path(source.file).name, statements, [name for s in statements for name in _loaded(s)])


def _loaded(statement: Statement) -> Sequence[tuple[str, str]]:
    return loaded_names(statement) if isinstance(statement, LoadTasks) else ()


def _plain(stem: str) -> str:
    """A table's name, in quotes where it needs them."""
    is_word = [kind for _, kind in duckdb.tokenize(stem)] == [duckdb.token_type.identifier]
    return stem if is_word and re.fullmatch(r"[A-Za-z_]\w*", stem) else name(stem)


def _in_order(files: Sequence[File]) -> list[File]:
    """The files so that each comes after those it needs; what defines only as early as can be, then by name."""
    from distil_sql.pipeline.needs import needs

    after = needs(files)
    waiting = {index: set(others) for index, others in after.items()}
    ready = [(not files[index].defines_only, index) for index, others in waiting.items() if not others]
    heapq.heapify(ready)
    ordered = []
    while ready:
        _, index = heapq.heappop(ready)
        ordered.append(files[index])
        for other, others in waiting.items():
            if index in others:
                others.remove(index)
                if not others:
                    heapq.heappush(ready, (not files[other].defines_only, other))
    return ordered
