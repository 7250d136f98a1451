"""What a DuckDB statement is made of, found from its tokens and never regenerated.

`inner_select` gives the rows a statement is about to write, as a SELECT to demand from; a mistake here costs calls,
never correctness. `task_calls` finds where functions are called, with their arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from distil_sql.script.lexer import Token, matching, split_on_commas
from distil_sql.script.statements import Sql

_QUERY = ("SELECT", "WITH", "FROM", "VALUES", "TABLE", "PIVOT", "UNPIVOT", "DESCRIBE", "SUMMARIZE")
_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE")
_SESSION = ("SET", "RESET", "PRAGMA", "ATTACH", "DETACH", "USE", "LOAD", "INSTALL", "BEGIN", "START")
_TRANSACTION = {"BEGIN": True, "START": True, "COMMIT": False, "END": False, "ROLLBACK": False, "ABORT": False}


@dataclass(frozen=True)
class FunctionCall:
    """A name followed by an argument list: positional argument count, named arguments with their tokens."""

    name: Token
    positional: int
    named: dict[str, list[Token]]
    qualified: bool


def inner_select(statement: Sql) -> str | None:
    """The SELECT whose rows the statement uses, cut out of its text; None where it cannot be told."""
    tokens = statement.tokens
    start = _skip_with(tokens)
    prefix = _slice(statement, tokens[:start])
    body = tokens[start:]
    if not body:
        return None
    if start and not body[0].is_word(*_WRITES):
        return statement.text
    found = _inner(statement, body)
    if found is None:
        return None
    return f"{prefix} {found}" if prefix and not body[0].is_word("SELECT", "FROM") else found


def _inner(statement: Sql, tokens: Sequence[Token]) -> str | None:
    first = tokens[0]
    if first.text == "(" or first.is_word("SELECT", "FROM", "VALUES", "TABLE", "PIVOT", "UNPIVOT"):
        return statement.text
    if first.is_word("CREATE"):
        made = tokens[_modifiers(tokens) :]
        at = find_word(tokens, "AS") if made and made[0].is_word("TABLE") else None
        if at is None or _data_clause(tokens) == "WITH NO DATA":
            return None
        return _slice(statement, tokens[at + 1 : len(tokens) - len(_data_clause(tokens).split())])
    if first.is_word("INSERT"):
        return _slice(statement, _insert_query(tokens))
    if first.is_word("COPY") and len(tokens) > 1 and tokens[1].text == "(":
        return _slice(statement, tokens[2 : matching(tokens, 1)])
    if first.is_word("UPDATE"):
        return _update_query(statement, tokens)
    return None


def target(statement: Sql) -> str | None:
    """The table, view or file that a statement writes, as written; None for one that only reads."""
    tokens = statement.tokens[_skip_with(statement.tokens) :]
    if not tokens:
        return None
    if tokens[0].is_word("CREATE"):
        index = next(
            (i for i, t in enumerate(tokens[:6]) if t.is_word("TABLE", "VIEW", "MACRO", "TYPE", "SCHEMA")), None
        )
        return None if index is None else _name_at(statement, tokens, _after_if_exists(tokens, index + 1))
    if tokens[0].is_word("INSERT", "MERGE"):
        index = find_word(tokens, "INTO")
        return None if index is None else _name_at(statement, tokens, index + 1)
    if tokens[0].is_word("UPDATE"):
        return _name_at(statement, tokens, 1)
    if tokens[0].is_word("DELETE") and len(tokens) > 2:
        return _name_at(statement, tokens, 2)
    if tokens[0].is_word("COPY"):
        index = find_word(tokens, "TO")
        if index is None and len(tokens) > 1 and tokens[1].text != "(":
            return _name_at(statement, tokens, 1)  # COPY t FROM 'file'
        return tokens[index + 1].text if index is not None and index + 1 < len(tokens) else None
    return None


def is_query(statement: Sql) -> bool:
    """Whether it is a query and nothing else: what may stand after CREATE TABLE … AS."""
    tokens = statement.tokens[_skip_with(statement.tokens) :]
    first = next((token for token in tokens if token.text != "("), None)
    return first is not None and first.is_word("SELECT", "FROM", "VALUES", "TABLE", "PIVOT", "UNPIVOT", "WITH")


def is_transactional(statement: Sql) -> bool:
    """Whether it may share a transaction with its own `done` row: it writes tables of this database."""
    tokens = statement.tokens[_skip_with(statement.tokens) :]
    if not tokens or not tokens[0].is_word("CREATE", "DROP", "ALTER", "TRUNCATE", "COMMENT", *_WRITES):
        return False
    after = tokens[_modifiers(tokens) : _modifiers(tokens) + 1]
    return not any(token.is_word("SECRET", "DATABASE") for token in after)


def is_conditional(statement: Sql) -> bool:
    """Whether it may have nothing to do: CREATE TABLE IF NOT EXISTS."""
    words = [token.text.upper() for token in statement.tokens[:8]]
    return words[0] == "CREATE" and "IF" in words and words[words.index("IF") :][1:3] == ["NOT", "EXISTS"]


def is_session(statement: Sql) -> bool:
    """Whether its effect ends with the connection, so that a resumed run needs it again."""
    first = statement.tokens[0]
    if first.is_word(*_SESSION):
        return True
    words = statement.tokens[: _modifiers(statement.tokens)]
    return first.is_word("CREATE") and any(token.is_word("TEMP", "TEMPORARY") for token in words)


def transaction_verb(statement: Sql) -> bool | None:
    """True for BEGIN, False for what ends a transaction, None for anything else."""
    return _TRANSACTION.get(statement.tokens[0].text.upper()) if statement.tokens[0].kind == "word" else None


def function_calls(tokens: Sequence[Token]) -> Iterator[FunctionCall]:
    """Every `name(…)` of a statement, nested ones too."""
    for index, token in enumerate(tokens[:-1]):
        if token.kind not in ("word", "quoted") or tokens[index + 1].text != "(":
            continue
        close = matching(tokens, index + 1)
        positional, named = 0, {}
        for group in split_on_commas(tokens[index + 2 : close]):
            if len(group) > 2 and group[0].kind in ("word", "quoted") and group[1].text in (":=", "=>"):
                named[group[0].name.lower()] = group[2:]
            else:
                positional += 1
        yield FunctionCall(token, positional, named, index > 0 and tokens[index - 1].text == ".")


# -- pieces ------------------------------------------------------------------------------------------------------------


def _skip_with(tokens: Sequence[Token]) -> int:
    """Index of the main verb after `WITH a AS (…), b AS (…)`; 0 where there is no WITH."""
    if not tokens or not tokens[0].is_word("WITH"):
        return 0
    depth = 0
    for index, token in enumerate(tokens):
        depth += (token.text == "(") - (token.text == ")") if token.kind == "op" else 0
        if depth == 0 and index and token.is_word("SELECT", "FROM", "VALUES", "TABLE", "PIVOT", "UNPIVOT", *_WRITES):
            return index
    return len(tokens)


def _modifiers(tokens: Sequence[Token]) -> int:
    """Index of the word that says what a CREATE or DROP is about: TABLE, VIEW, SECRET, …"""
    words = ("OR", "REPLACE", "LOCAL", "GLOBAL", "TEMP", "TEMPORARY", "PERSISTENT")
    return next((i for i, token in enumerate(tokens) if i and not token.is_word(*words)), len(tokens))


def find_word(tokens: Sequence[Token], word: str) -> int | None:
    """Index of an unquoted word outside any bracket."""
    depth = 0
    for index, token in enumerate(tokens):
        if token.kind == "op":
            depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        elif depth == 0 and token.is_word(word):
            return index
    return None


def _data_clause(tokens: Sequence[Token]) -> str:
    """WITH DATA, WITH NO DATA, or nothing, at the end of a CREATE TABLE … AS."""
    for words in (("WITH", "DATA"), ("WITH", "NO", "DATA")):
        ending = tokens[-len(words) :]
        if len(ending) == len(words) and all(t.is_word(word) for t, word in zip(ending, words, strict=True)):
            return " ".join(words)
    return ""


def _insert_query(tokens: Sequence[Token]) -> Sequence[Token]:
    depth, start = 0, None
    for index, token in enumerate(tokens):
        opens = token.kind == "op" and token.text == "("
        if depth == 0 and index > 1:
            if start is None and (
                token.is_word(*_QUERY) or (opens and index + 1 < len(tokens) and tokens[index + 1].is_word(*_QUERY))
            ):
                start = index
            elif start is not None and (
                token.is_word("RETURNING")
                or (token.is_word("ON") and index + 1 < len(tokens) and tokens[index + 1].is_word("CONFLICT"))
            ):
                return tokens[start:index]
        if token.kind == "op":
            depth += opens - (token.text == ")")
    return tokens[start:] if start is not None else ()


def _update_query(statement: Sql, tokens: Sequence[Token]) -> str | None:
    """SELECT of what an UPDATE is about to compute: its expressions over its table, FROM and WHERE."""
    at_set = find_word(tokens, "SET")
    if at_set is None:
        return None
    ends = {word: found for word in ("FROM", "WHERE", "RETURNING") if (found := find_word(tokens, word)) is not None}
    assignments = tokens[at_set + 1 : min(ends.values(), default=len(tokens))]
    expressions = []
    for group in split_on_commas(assignments):
        equals = next((i for i, token in enumerate(group) if token.text == "="), None)
        if equals is None or group[0].text == "(":
            return None
        expressions.append(_slice(statement, group[equals + 1 :]))
    query = f"SELECT {', '.join(e or 'NULL' for e in expressions)} FROM {_slice(statement, tokens[1:at_set])}"
    stop = ends.get("RETURNING", len(tokens))
    if "FROM" in ends:
        query += ", " + str(_slice(statement, tokens[ends["FROM"] + 1 : ends.get("WHERE", stop)]))
    if "WHERE" in ends:
        query += " " + str(_slice(statement, tokens[ends["WHERE"] : stop]))
    return query


def _after_if_exists(tokens: Sequence[Token], index: int) -> int:
    return index + 3 if index < len(tokens) and tokens[index].is_word("IF") else index


def _name_at(statement: Sql, tokens: Sequence[Token], index: int) -> str | None:
    end = index + 1
    while end + 1 < len(tokens) and tokens[end].text == ".":
        end += 2
    return _slice(statement, tokens[index:end]) if index < len(tokens) else None


def _slice(statement: Sql, tokens: Sequence[Token]) -> str | None:
    return statement.source.text[tokens[0].start : tokens[-1].end] if tokens else None
