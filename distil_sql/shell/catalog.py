"""What there is to complete: `Catalog.read(con, registry)` looks once at a database's tables, functions and names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import duckdb

from distil_sql.models.options import ModelSpec
from distil_sql.quoting import name
from distil_sql.registry import Registry
from distil_sql.task import Task

_PLAIN = re.compile(r"[^\W\d]\w*")

_COLUMNS = """SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns()
    WHERE NOT internal ORDER BY database_name <> current_database(), schema_name, table_name, column_index"""
_FUNCTIONS = """SELECT DISTINCT function_name, function_type IN ('table', 'table_macro') FROM duckdb_functions()
    WHERE function_name SIMILAR TO '[a-z][a-z0-9_]*' AND function_type <> 'pragma'
        AND NOT starts_with(function_name, 'distil_')
    ORDER BY ALL"""
_RESERVED = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'"


@dataclass(frozen=True)
class Catalog:
    """Names as they are typed; `tables` maps each table or view to its columns and their types.

    `functions` are those of expressions, `table_functions` those that stand after FROM.
    """

    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    functions: tuple[str, ...] = ()
    table_functions: tuple[str, ...] = ()
    tasks: Mapping[str, Task] = field(default_factory=dict)
    models: Mapping[str, ModelSpec] = field(default_factory=dict)

    @classmethod
    def read(cls, con: duckdb.DuckDBPyConnection, registry: Registry) -> Catalog:
        """Look at a database; raises duckdb.Error where the connection can answer nothing (an aborted transaction)."""
        reserved = {row[0] for row in con.execute(_RESERVED).fetchall()}
        tables: dict[str, dict[str, str]] = {}
        for schema, table, column, kind in con.execute(_COLUMNS).fetchall():
            shown = _written(table, reserved) if schema == "main" else f"{schema}.{_written(table, reserved)}"
            tables.setdefault(shown, {})[_written(column, reserved)] = kind
        found = con.execute(_FUNCTIONS).fetchall()
        of_tasks = {function.lower() for function in registry.functions()}
        return cls(
            tables,
            tuple(function for function, is_table in found if not is_table and function.lower() not in of_tasks),
            tuple(function for function, is_table in found if is_table),
            dict(registry.tasks),
            dict(registry.models),
        )


def _written(identifier: str, reserved: set[str]) -> str:
    """A name as it has to be typed."""
    plain = _PLAIN.fullmatch(identifier) and identifier.lower() not in reserved
    return identifier if plain else name(identifier)
