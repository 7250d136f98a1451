"""Whether a later statement reads an earlier one row by row, so that its calls may start before that is finished.

`overlap_query(earlier, later)` gives a SELECT over the later statement's rows in which the earlier's table is replaced
by the earlier's own query, or None. It is used to ask for calls ahead of time and never to compute a result: it must
therefore be sure that each row it sees will be a row of the real thing, and refuses whatever it is not sure of.
"""

from __future__ import annotations

import logging
from collections.abc import Container
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from distil_sql.quoting import name
from distil_sql.script.anatomy import inner_select, target
from distil_sql.script.statements import Sql

# what looks at more than one row, or at none in particular
_NOT_ROW_BY_ROW = (
    exp.AggFunc,
    exp.Window,
    exp.Group,
    exp.Having,
    exp.Distinct,
    exp.Limit,
    exp.Offset,
    exp.Fetch,
    exp.Qualify,
    exp.SetOperation,
    exp.Subquery,
    exp.Exists,
    exp.TableSample,
    exp.Pivot,
    exp.With,
    exp.Rand,
    exp.Uuid,
    exp.CurrentTimestamp,
)
_VOLATILE = ("random", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "now", "nextval", "currval", "setseed", "query")
_AGGREGATES = ("list", "string_agg", "any_value", "arg_max", "arg_min", "first", "last", "histogram", "mode", "median")


# what is NULL, or no row at all, where the call inside is NULL because it still waits for its answer
_NULL_WITH_IT = (exp.Alias, exp.Cast, exp.Paren, exp.Dot, exp.Bracket, exp.Unnest, exp.Explode)


def overlap_query(earlier: Sql, later: Sql, written: Container[str]) -> str | None:
    """The later statement's query over the earlier's rows that are answered so far; None where that is not safe.

    `written` holds the lower-case names of the functions that are not DuckDB's own: each may be or call a task.
    """
    table = _created_table(earlier)
    first, second = inner_select(earlier), inner_select(later)
    if table is None or first is None or second is None or later.tokens[0].text.upper() not in ("CREATE", "INSERT"):
        return None
    made, read = _row_by_row(first), _row_by_row(second)
    if made is None or read is None or read[0] != [table.lower()]:
        return None
    columns = _answers(made[1], written)
    if not columns:
        return None
    answered = " AND ".join(f"{name(column)} IS NOT NULL" for column in columns)
    # materialized: looked at twice, a call may be answered in between
    so_far = f"distil_so_far AS MATERIALIZED ({first}\n)"
    return f"WITH {so_far}, {name(table)} AS (SELECT * FROM distil_so_far WHERE {answered}) {second}"


def _created_table(statement: Sql) -> str | None:
    """The plain name of the table that CREATE TABLE … AS makes."""
    aim = target(statement)
    if (
        statement.verb != "CREATE"
        or aim is None
        or "." in aim
        or any(t.is_word("EXISTS") for t in statement.tokens[:6])
    ):
        return None
    return aim.strip('"')


def _answers(query: exp.Select, written: Container[str]) -> list[str]:
    """The columns that are NULL until a call is answered; empty where another column or a condition depends on one."""
    columns = []
    for call in query.find_all(exp.Func):
        if (call.name if isinstance(call, exp.Anonymous) else call.sql_name()).lower() not in written:
            continue
        node: Any = call
        while node.parent is not query:
            if not isinstance(node.parent, _NULL_WITH_IT):
                return []
            node = node.parent
        if node.arg_key != "expressions" or not isinstance(node, exp.Alias):
            return []
        columns.append(node.alias)
    return columns


def _row_by_row(query: str) -> tuple[list[str], exp.Select] | None:
    """The tables a query reads, where each of its rows comes from one row of each; None for any other query."""
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it only looks: what it cannot read is not news
    try:
        tree = sqlglot.parse_one(query, dialect="duckdb")
    except SqlglotError:
        return None
    if not isinstance(tree, exp.Select) or tree.args.get("joins") or tree.args.get("laterals"):
        return None
    if tree.find(*_NOT_ROW_BY_ROW) is not None:
        return None
    for call in tree.find_all(exp.Anonymous):
        if call.name.lower() in (*_AGGREGATES, *_VOLATILE):
            return None
    source = tree.args.get("from_") or tree.args.get("from")
    if source is None or not isinstance(source.this, exp.Table):
        return None
    table = source.this
    if isinstance(table.this, exp.Identifier):
        return ([table.name.lower()] if not table.db else [f"{table.db}.{table.name}".lower()]), tree
    return [table.sql(dialect="duckdb").lower()], tree  # a table function: read_csv(…)
