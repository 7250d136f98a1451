"""What a statement makes, writes and needs, as names: tables, files, tasks, models, macros.

`references(statement)` looks at its tokens, and at its tables through sqlglot; nothing here changes a statement. A name
it misses costs an order that has to be said by file names, never a wrong result.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlglot
from sqlglot import exp

from distil_sql.script.anatomy import find_word, function_calls, inner_select, is_query, target
from distil_sql.script.lexer import Source, Token, tokenize
from distil_sql.script.statements import CreateModel, CreateTask, Drop, Sql, Statement

Name = tuple[str, str]
"""What is named, and its lower-case name: ("table", "main.prompts"), ("model", "labeller")."""

_MODIFIERS = ("OR", "REPLACE", "LOCAL", "GLOBAL", "TEMP", "TEMPORARY", "PERSISTENT", "UNIQUE", "RECURSIVE")
_KINDS = {"TABLE": "table", "VIEW": "table", "MACRO": "macro", "FUNCTION": "macro", "SCHEMA": "schema", "TYPE": "type"}
_KINDS |= {"SEQUENCE": "type", "DATABASE": "database"}  # a sequence is named in passing, as a type is
_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE", "ALTER", "TRUNCATE", "COPY")


@dataclass
class References:
    """Names of one statement. `calls` are functions, each with the model that it names if it does so by a string."""

    makes: set[Name] = field(default_factory=set)
    writes: set[Name] = field(default_factory=set)
    drops: set[Name] = field(default_factory=set)
    reads: set[Name] = field(default_factory=set)
    calls: dict[str, set[str | None]] = field(default_factory=dict)
    strings: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)


def references(statement: Statement) -> References:
    """The names of a statement."""
    found = References()
    _look_at(found, statement.tokens)
    if isinstance(statement, CreateModel):
        found.makes.add(("model", statement.name.lower()))
        found.calls.clear()  # its name with its options is no call
        if isinstance(members := statement.options.get("models"), list):
            found.reads |= {("model", str(member).lower()) for member in members}
    elif isinstance(statement, CreateTask):
        found.makes.add(("task", statement.task.name.lower()))
        found.calls.pop(statement.task.name.lower(), None)  # its name with its arguments is no call
        if statement.task.model:
            found.reads.add(("model", statement.task.model.lower()))
        _look_at(found, tokenize(Source(statement.task.parse or "")))
    elif isinstance(statement, Drop):
        found.drops.add((statement.what, statement.name.lower()))
    elif isinstance(statement, Sql):
        _look_at_sql(found, statement)
    return found


def table_name(written: str) -> Name:
    """A table as written, `t`, `s.t` or `c.s.t`, without what goes without saying."""
    parts = [token.name.lower() for token in tokenize(Source(written)) if token.kind in ("word", "quoted", "string")]
    return _table(parts)


def _table(parts: Sequence[str]) -> Name:
    if len(parts) == 1:
        return "table", f"main.{parts[0]}"
    if len(parts) == 3 and parts[1] == "main":
        return "table", ".".join(parts)  # whether the database is this one is not known here: see `within`
    return "table", ".".join(parts[-2:]).replace("temp.", "main.")


def within(name: Name, attached: Container[str]) -> Name:
    """A table named with its database, as it is called otherwise: `old.main.t` is `old.t` where that is attached."""
    kind, parts = name[0], name[1].split(".")
    if kind != "table" or len(parts) != 3:
        return name
    return kind, f"{parts[0] if parts[0] in attached else 'main'}.{parts[2]}"


def _look_at(found: References, tokens: Sequence[Token]) -> None:
    for token in tokens:
        if token.kind == "string":
            found.strings.add(token.value)
        elif token.kind in ("word", "quoted"):
            found.words.add(token.name.lower())
    for call in function_calls(tokens):
        model = call.named.get("model", ())
        said = model[0].value.lower() if len(model) == 1 and model[0].kind == "string" else None
        found.calls.setdefault(call.name.name.lower(), set()).add(said)


def _look_at_sql(found: References, statement: Sql) -> None:
    tokens = statement.tokens
    first = tokens[0]
    kind_at = next((i for i, token in enumerate(tokens) if i and not token.is_word(*_MODIFIERS)), 0)
    kind = _KINDS.get(tokens[kind_at].text.upper())
    aim = target(statement)
    own: Name | None = None
    if first.is_word("CREATE", "DROP", "ALTER") and kind and kind != "table":
        own = (kind, _name_after(tokens, kind_at + 1).lower())
        (found.drops if first.is_word("DROP") else found.makes if first.is_word("CREATE") else found.writes).add(own)
    elif first.is_word("CREATE") and kind == "table" and aim:
        found.makes.add(own := table_name(aim))
    elif first.is_word("DROP", "ALTER") and kind == "table":
        own = table_name(_name_after(tokens, kind_at + 1))
        (found.drops if first.is_word("DROP") else found.writes).add(own)
    elif first.is_word("ATTACH"):
        at = find_word(tokens, "AS")
        path = next((token.value for token in tokens if token.kind == "string"), "")
        called = tokens[at + 1].name if at and at + 1 < len(tokens) else path.rsplit("/", 1)[-1].split(".")[0]
        found.makes.add(("database", called.lower()))
    elif first.is_word("COPY") and aim and find_word(tokens, "TO") is not None:
        found.makes |= {("file", token.value) for token in tokens if token.text == aim and token.kind == "string"}
        if tokens[1].text != "(":
            found.reads.add(table_name(_name_after(tokens, 1)))
    elif aim and not is_query(statement):
        found.writes.add(own := table_name(aim))
    elif first.is_word("TRUNCATE"):
        found.writes.add(own := table_name(_name_after(tokens, 1)))
    found.calls.pop(own[1].removeprefix("main.") if own else "", None)  # INSERT INTO t(a), CREATE MACRO m(a)
    found.reads |= set(_tables(statement)) - found.makes - found.drops
    for _, name in found.reads | found.makes | found.writes:
        if "." in name and not name.startswith("main."):
            found.reads |= {("schema", name.split(".")[0]), ("database", name.split(".")[0])}


def _name_after(tokens: Sequence[Token], index: int) -> str:
    """A name as written, after IF [NOT] EXISTS."""
    while index < len(tokens) and tokens[index].is_word("IF", "NOT", "EXISTS", "TABLE"):
        index += 1
    end = index + 1
    while end + 1 < len(tokens) and tokens[end].text == ".":
        end += 2
    return "".join(token.text for token in tokens[index:end])


def _tables(statement: Sql) -> Iterator[Name]:
    """The tables that a statement reads; what only looks like one is sorted out where names are matched."""
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it only looks: what it cannot read is not news
    for query in dict.fromkeys((statement.text, _body(statement), inner_select(statement))):
        try:
            tree: Any = sqlglot.parse_one(query, dialect="duckdb") if query else None
        except Exception:  # whatever it stumbles over: it only looks
            continue
        if tree is None or isinstance(tree, exp.Command) or tree.find(exp.Command):
            continue
        for table in tree.find_all(exp.Table):
            if isinstance(table.this, exp.Func):
                yield from _arguments(table.this)
            elif table.db or table.name.lower() not in _common(table):
                yield _table([part.name.lower() for part in table.parts])
        return
    for before, token in zip(statement.tokens, statement.tokens[1:], strict=False):
        if before.is_word("FROM", "JOIN", "TABLE") and token.kind in ("word", "quoted"):
            yield table_name(_name_after(statement.tokens, statement.tokens.index(token)))


def _body(statement: Sql) -> str | None:
    """What a macro or view is made of."""
    at = find_word(statement.tokens, "AS")
    if statement.verb != "CREATE" or at is None or at + 1 >= len(statement.tokens):
        return None
    at += 2 if statement.tokens[at + 1].is_word("TABLE") else 1
    return (
        statement.source.text[statement.tokens[at].start : statement.tokens[-1].end]
        if at < len(statement.tokens)
        else None
    )


def _arguments(function: exp.Func) -> Iterator[Name]:
    """Tables that a table function is given: to_sft(labelled, …), query_table('t')."""
    first = function.expressions[0] if function.expressions else function.this
    if isinstance(first, exp.Column):
        yield _table([part.name.lower() for part in first.parts])
    elif isinstance(first, exp.Expression):
        for literal in first.find_all(exp.Literal):
            if literal.is_string and literal.name.replace(".", "").isidentifier():
                yield table_name(literal.name)


def _common(table: exp.Table) -> set[str]:
    """The lower-case names of the WITH queries that are visible where a table is named."""
    names: set[str] = set()
    inside: Any = None
    node: Any = table
    while (node := node.parent) is not None:
        if isinstance(node, exp.CTE):
            inside = node
        clause = node.args.get("with_") or node.args.get("with")
        if clause is None:
            continue
        for query in clause.expressions:
            if query is inside and not clause.args.get("recursive"):
                break  # in itself the name is still that of a table
            names.add(query.alias.lower())
        else:
            inside = None
    return names
