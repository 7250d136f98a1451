"""A table's columns: what they are called, what they hold, and which of them is the prompt, the answer, the score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb

from distil_sql.errors import OptionError
from distil_sql.quoting import name as quoted
from distil_sql.task import nearest

ROLES: Mapping[str, tuple[str, ...]] = {
    "prompt": ("prompt", "instruction", "question", "query", "input"),
    "response": ("response", "completion", "answer", "generation", "output"),
    "score": ("score", "rating", "grade", "overall_rating"),
    "wanted": ("wanted", "desirable", "label"),
    "system": ("system", "system_prompt"),
}
"""Names under which a role's column is found, the likeliest first."""

_NUMBERS = ("tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint")
NUMBERS = (*_NUMBERS, "uhugeint", "float", "double", "decimal")


@dataclass(frozen=True)
class Table:
    """A table or view: how SQL names it, and its columns with their types."""

    name: str
    sql: str
    columns: Mapping[str, duckdb.sqltypes.DuckDBPyType]

    def role(self, role: str) -> str | None:
        """SQL of the column (or the field of a struct) that plays a role; None where there is none.

        Raises OptionError where several fields could.
        """
        own = {column.lower(): column for column in self.columns}
        for known in ROLES[role]:
            if known in own and _fits(role, self.columns[own[known]]):
                return quoted(own[known])
        for known in ROLES[role] if role == "score" else ():
            found = [
                f"{quoted(column)}.{quoted(field)}"
                for column, type_ in self.columns.items()
                for field, inner in fields(type_)
                if field.lower() == known and _fits(role, inner)
            ]
            if len(found) > 1:
                raise OptionError(
                    f"table {self.name!r} has several scores: choose with --score, as in --score {found[0]!r}"
                )
            if found:
                return found[0]
        return None


def find_table(con: duckdb.DuckDBPyConnection, wanted: str) -> Table:
    """A table or view of this database by its name, with or without a schema; OptionError suggests the nearest."""
    query = """SELECT schema_name, table_name AS name FROM duckdb_tables() WHERE NOT internal
        UNION ALL SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal"""
    known = con.execute(query).fetchall()
    for schema, name in sorted(known, key=lambda row: (row[0] != "main", row)):
        if wanted.lower() in (name.lower(), f"{schema}.{name}".lower()):
            sql = f"{quoted(schema)}.{quoted(name)}"
            return Table(wanted, sql, columns_of(con, f"FROM {sql}"))
    names = [name if schema == "main" else f"{schema}.{name}" for schema, name in known if schema != "distil"]
    raise OptionError(f"there is no table {wanted!r}{nearest(wanted, names) or _list(names)}")


def columns_of(con: duckdb.DuckDBPyConnection, query: str) -> dict[str, duckdb.sqltypes.DuckDBPyType]:
    """The columns of a query and their types, without running it."""
    rows = con.sql(query)
    return dict(zip(rows.columns, rows.types, strict=True))


def fields(type_: duckdb.sqltypes.DuckDBPyType) -> list[tuple[str, duckdb.sqltypes.DuckDBPyType]]:
    """Names and types of a struct's fields; nothing for any other type."""
    return list(type_.children) if type_.id == "struct" else []  # type: ignore[arg-type]


def portable(type_: duckdb.sqltypes.DuckDBPyType) -> str:
    """The type as other programs read it from a file: no UUID, ENUM, JSON or UNION, which become text."""
    kind = type_.id
    if kind in ("uuid", "enum", "union", "interval", "bit", "time with time zone") or str(type_) == "JSON":
        return "VARCHAR"
    if kind in ("hugeint", "uhugeint"):
        return "DOUBLE"
    children: list[tuple[str, duckdb.sqltypes.DuckDBPyType]] = list(type_.children) if _nested(kind) else []  # type: ignore[arg-type]
    if kind == "struct":
        return f"STRUCT({', '.join(f'{quoted(field)} {portable(inner)}' for field, inner in children)})"
    if kind == "map":
        return f"MAP({', '.join(portable(inner) for _, inner in children)})"
    if kind in ("list", "array"):
        return f"{portable(children[0][1])}[]"
    return str(type_)


def is_messages(type_: duckdb.sqltypes.DuckDBPyType) -> bool:
    """Whether it is a conversation: a list of role and content."""
    if type_.id != "list":
        return False
    inner = {field.lower() for field, _ in fields(type_.children[0][1])}  # type: ignore[arg-type]
    return {"role", "content"} <= inner


def _nested(kind: str) -> bool:
    return kind in ("struct", "map", "list", "array")


def _fits(role: str, type_: duckdb.sqltypes.DuckDBPyType) -> bool:
    if role == "score":
        return type_.id in NUMBERS
    if role == "wanted":
        return type_.id == "boolean"
    return role != "system" or type_.id == "varchar"


def _list(names: Iterable[str]) -> str:
    listed = ", ".join(sorted(names)[:8])
    return f": there are {listed}" if listed else ": this database has none"
