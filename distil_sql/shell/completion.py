"""What may follow where the cursor stands: `suggest("select ju", catalog)`.

Decided by the tokens before the cursor: tables after FROM, columns of the tables named, a task's arguments inside its
call, models after `model :=`, else all of these with functions and keywords.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from distil_sql.prompt.formats import FORMATS
from distil_sql.registry import SUFFIXES
from distil_sql.script import Token
from distil_sql.shell.catalog import Catalog
from distil_sql.shell.partial import last_statement, partial
from distil_sql.task import Task

# one text each: a hundred words in quotes of their own would be harder to read
KEYWORDS = tuple(
    """ALL ALTER AND ANTI AS ASC ASOF ATTACH BEGIN BETWEEN BY CASE CAST CHECKPOINT COLUMNS COMMIT COPY CREATE CROSS
    DEFAULT DELETE DESC DESCRIBE DETACH DISTINCT DROP ELSE EMBEDDER END EXCEPT EXCLUDE EXISTS EXPLAIN EXPORT FALSE
    FILTER FROM FULL GENERATOR GROUP HAVING IF ILIKE IN INNER INSERT INSTALL INTERSECT INTERVAL INTO IS JOIN LABELLER
    LATERAL LEFT LIKE LIMIT LOAD MACRO MODEL NOT NULL OFFSET ON OR ORDER OVER PARSE PARTITION PIVOT PRAGMA PROMPT
    QUALIFY RECURSIVE REPLACE RESET RETURNING RETURNS RIGHT ROLLBACK SAMPLE SCHEMA SECRET SELECT SEMI SET SHOW
    SUMMARIZE SYSTEM TABLE TABLES TASK TASKS TEMP THEN TO TRUE TYPE UNION UNNEST UNPIVOT UPDATE USE USING VALUES
    VARIABLE VIEW WHEN WHERE WINDOW WITH""".split()  # noqa: SIM905
)

_STARTS = tuple(
    """SELECT FROM CREATE INSERT UPDATE DELETE DROP WITH DESCRIBE SUMMARIZE SHOW COPY EXPLAIN SET BEGIN COMMIT
    ROLLBACK ATTACH DETACH ALTER PIVOT UNPIVOT USE LOAD INSTALL EXPORT PRAGMA CHECKPOINT RESET""".split()  # noqa: SIM905
)
_BEFORE_TABLES = ("FROM", "JOIN", "INTO", "TABLE", "VIEW", "UPDATE", "DESCRIBE", "DESC", "SUMMARIZE", "SHOW")
_OWN = {
    "": ("model", "sample"),
    "_n": ("n", "model", "sample"),
    "_details": ("model", "sample"),
    "_prompt": ("format",),
}
_MOST = 200


@dataclass(frozen=True)
class Suggestion:
    """`text` takes the place of the `length` characters before the cursor; `about` says what it is."""

    text: str
    length: int
    about: str


def suggest(before: str, catalog: Catalog, after: str = "") -> list[Suggestion]:
    """What may stand at the cursor between two pieces of SQL, the likeliest first."""
    found = partial(before)
    tokens = last_statement(found.tokens)
    if found.open_at is not None:
        rest = before[found.open_at :]
        return list(_in_string(rest[1:], tokens, catalog)) if rest.startswith("'") else []
    typed = ""
    if tokens and tokens[-1].kind == "word" and tokens[-1].end == len(before):
        typed, tokens = tokens[-1].text, tokens[:-1]
    unique: dict[str, Suggestion] = {}
    named = _tables_named((*tokens, *partial(after).tokens), catalog)
    for text, about in _candidates(typed, tokens, named, catalog):
        if text.lower().startswith(typed.lower()):
            unique.setdefault(text.lower(), Suggestion(text, len(typed), about))
    return list(unique.values())[:_MOST]


def _candidates(
    typed: str, tokens: Sequence[Token], named: dict[str, str], catalog: Catalog
) -> Iterator[tuple[str, str]]:
    last = tokens[-1] if tokens else None
    if last is not None and last.text == "." and len(tokens) > 1:
        yield from _members(tokens[-2].name.lower(), named, catalog)
        return
    if last is not None and last.text == ":=" and len(tokens) > 1 and tokens[-2].is_word("MODEL"):
        yield from ((f"'{spec.name}'", f"model, {spec.type}") for spec in catalog.models.values())
        return
    if last is not None and last.is_word("MODEL") and len(tokens) < 4 and tokens[0].is_word("DROP"):
        yield from ((spec.name, f"model, {spec.type}") for spec in catalog.models.values())
        return
    if last is not None and last.is_word("TASK") and tokens[0].is_word("DROP"):
        yield from ((task.name, task.kind) for task in catalog.tasks.values())
        return
    if last is not None and last.is_word(*_BEFORE_TABLES):
        yield from ((table, "table") for table in _ordered(catalog.tables))
        if typed:
            yield from ((f"{function}(", "table function") for function in catalog.table_functions)
        return
    arguments = [found for found in _arguments(tokens, catalog) if found[0].lower().startswith(typed.lower())]
    yield from arguments
    if last is None:
        yield from ((_cased(word, typed), "") for word in _STARTS)
    tables = [catalog.tables[table] for table in dict.fromkeys(named.values())]
    tables = tables or [columns for table, columns in catalog.tables.items() if "." not in table]
    for columns in tables:
        yield from ((column, kind) for column, kind in columns.items())
    yield from ((alias, f"alias of {table}") for alias, table in named.items() if alias not in catalog.tables)
    yield from _task_functions(typed, catalog)
    if typed and not arguments:
        yield from ((table, "table") for table in _ordered(catalog.tables))
        yield from ((_cased(word, typed), "") for word in KEYWORDS)
        yield from ((f"{function}(", "function") for function in catalog.functions)


def _task_functions(typed: str, catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Tasks by name; their other three functions once more than the name is typed."""
    for task in catalog.tasks.values():
        yield f"{task.name}(", f"{task.kind}: {', '.join(argument.name for argument in task.arguments)}"
        if typed.lower().startswith(task.name.lower()):
            yield from ((f"{task.name}{suffix}(", task.kind) for suffix in SUFFIXES[1:])


def _arguments(tokens: Sequence[Token], catalog: Catalog) -> Iterator[tuple[str, str]]:
    """The arguments, not given yet, of the task whose brackets are open; none in the middle of a value."""
    if not tokens or tokens[-1].text not in ("(", ","):
        return
    depth = 0
    for index in range(len(tokens) - 1, 0, -1):
        text = tokens[index].text if tokens[index].kind == "op" else ""
        depth += (text in (")", "]", "}")) - (text in ("(", "[", "{"))
        if depth < 0:
            found = _task_of(tokens[index - 1], catalog)
            if found is not None:
                given = {tokens[at - 1].name.lower() for at in range(index, len(tokens)) if tokens[at].text == ":="}
                task, suffix = found
                known = [(argument.name, argument.type) for argument in task.arguments]
                for argument, about in (*known, *((own, "of every task") for own in _OWN[suffix])):
                    if argument.lower() not in given:
                        yield f"{argument} := ", about
            return


def _task_of(token: Token, catalog: Catalog) -> tuple[Task, str] | None:
    for suffix in SUFFIXES:
        task = catalog.tasks.get(token.name.lower().removesuffix(suffix) if suffix else token.name.lower())
        if task is not None and token.name.lower().endswith(suffix):
            return task, suffix
    return None


def _members(owner: str, named: dict[str, str], catalog: Catalog) -> Iterator[tuple[str, str]]:
    """What follows `owner.`: columns of a table or alias, fields of a struct, tables of a schema."""
    table = catalog.tables.get(named.get(owner, owner))
    if table is not None:
        yield from table.items()
    for columns in [catalog.tables[name] for name in named.values()] or catalog.tables.values():
        kind = next((kind for column, kind in columns.items() if column.lower() == owner), "")
        if kind.startswith("STRUCT("):
            yield from ((field, "field") for field in _fields(kind))
    prefix = f"{owner}."
    yield from ((name[len(prefix) :], "table") for name in catalog.tables if name.lower().startswith(prefix))


def _fields(kind: str) -> Iterator[str]:
    """The names of a STRUCT's fields, from its type as DuckDB writes it."""
    tokens, depth = partial(kind).tokens, 0
    for before, token in pairwise(tokens):
        if depth == 1 and before.text in ("(", ","):
            yield token.text if token.kind in ("word", "quoted") else ""
        depth += (token.text == "(") - (token.text == ")")
        if before is tokens[0]:
            depth = 1


def _tables_named(tokens: Sequence[Token], catalog: Catalog) -> dict[str, str]:
    """The tables of the catalog that a statement reads or writes, by the names and aliases it gives them."""
    by_name = {table.lower(): table for table in catalog.tables}
    named: dict[str, str] = {}
    for index, token in enumerate(tokens):
        if token.kind not in ("word", "quoted"):
            continue
        dotted = index > 1 and tokens[index - 1].text == "."
        written = f"{tokens[index - 2].text}.{token.text}" if dotted else token.text
        table = by_name.get(written.lower())
        start = index - 2 if dotted else index
        before = tokens[start - 1] if start else None
        if table is None or before is None or not (before.text == "," or before.is_word(*_BEFORE_TABLES)):
            continue
        named[token.name.lower()] = table
        following = [after for after in tokens[index + 1 : index + 3] if not after.is_word("AS")]
        if following and following[0].kind == "word" and following[0].text.upper() not in KEYWORDS:
            named[following[0].name.lower()] = table
    return named


def _in_string(typed: str, tokens: Sequence[Token], catalog: Catalog) -> Iterator[Suggestion]:
    """Inside quotes: a model or a prompt format where their argument stands before, else a file."""
    last, before = (tokens[-1], tokens[-2]) if len(tokens) > 1 else (None, None)
    if last is not None and before is not None and last.text == ":=" and before.is_word("MODEL", "FORMAT"):
        names: Iterable[str] = [spec.name for spec in catalog.models.values()] if before.is_word("MODEL") else FORMATS
        what = before.text.lower()
        yield from (Suggestion(f"{name}'", len(typed), what) for name in names if name.startswith(typed))
        return
    yield from paths(typed)


def paths(typed: str) -> Iterator[Suggestion]:
    """Files and folders that start as typed."""
    head, _, tail = typed.rpartition("/")
    folder = Path(head + "/" if head or typed.startswith("/") else ".").expanduser()
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return
    for path in found:
        if path.name.startswith(tail) and (tail or not path.name.startswith(".")):
            is_folder = path.is_dir()
            yield Suggestion(path.name + ("/" if is_folder else ""), len(tail), "folder" if is_folder else "file")


def _ordered(tables: Iterable[str]) -> list[str]:
    """The user's own before those of the schema `distil`."""
    return sorted(tables, key=lambda table: (table.lower().startswith("distil."), table.lower()))


def _cased(word: str, typed: str) -> str:
    return word.lower() if typed.islower() else word
