"""A dataset card: what the rows are, how they were made and what that took, all of it read from the database.

A licence appears only where the user gave one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from distil_sql.export.columns import NUMBERS, fields
from distil_sql.export.formats import Rows
from distil_sql.export.lineage import Lineage, prompt_hash
from distil_sql.quoting import name as quoted

_SIZES = (("n<1K", 10**3), ("1K<n<10K", 10**4), ("10K<n<100K", 10**5), ("100K<n<1M", 10**6), ("1M<n<10M", 10**7))

_LINES, _DEEP = 100, 3
"""Most lines of the table of columns, and how deep into structs it goes."""


def card(
    con: duckdb.DuckDBPyConnection,
    title: str,
    rows: Rows,
    parts: Mapping[str, int],
    past: Lineage,
    license_: str | None,
) -> str:
    """The text of README.md. `parts` has the number of rows of each split."""
    total = sum(parts.values())
    sections = [
        _front(title, parts, total, license_),
        f"# {title}\n\n{total:,} rows of the table `{rows.table.name}`"
        + (f" in the shape that {rows.format} trainers read" if rows.format else "")
        + ", made with [distil-sql](https://pypi.org/project/distil-sql/).",
        _size(parts),
        "## Columns\n\n" + _statistics(con, rows),
    ]
    if past.spent:
        sections.append("## How it was made\n\n" + _tasks(past))
    if past.models:
        sections.append("## Models\n\n" + _models(past))
    if past.statements:
        fence = "````"
        sections.append(f"## The pipeline\n\n{fence}sql\n{past.sql}{fence}")
    return "\n\n".join(sections) + "\n"


def _front(title: str, parts: Mapping[str, int], total: int, license_: str | None) -> str:
    lines = [f"pretty_name: {json.dumps(title, ensure_ascii=False)}"]
    if license_:
        lines.append(f"license: {json.dumps(license_)}")
    lines += ["tags:", "- synthetic", "- distil-sql", "size_categories:"]
    lines.append("- " + next((size for size, limit in _SIZES if total < limit), "n>10M"))
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for part in parts:
        lines += [f"  - split: {part}", f"    path: data/{part}-*.parquet"]
    return "---\n" + "\n".join(lines) + "\n---"


def _size(parts: Mapping[str, int]) -> str:
    return _table(["split", "rows"], [[part, f"{count:,}"] for part, count in parts.items()])


def _statistics(con: duckdb.DuckDBPyConnection, rows: Rows) -> str:
    """A line a column, and one for each field inside: type, share of NULL, number of values, how large or long."""
    lines = []
    for column, type_ in rows.columns.items():
        source = f"SELECT {quoted(column)} AS it FROM ({rows.query}) distil_rows"
        lines += [_measured(con, leaf) for leaf in _leaves(Leaf(column, type_, source))]
    return _table(["column", "type", "NULL", "distinct (about)", "values"], lines[:_LINES])


@dataclass(frozen=True)
class Leaf:
    """A column, or what lies inside one: its name, its type, and a query that gives it as `it`."""

    name: str
    type: duckdb.sqltypes.DuckDBPyType
    source: str


def _leaves(leaf: Leaf, depth: int = 0) -> Iterator[Leaf]:
    """The column itself, then the fields of a struct (where there is one) and those of the items of a list."""
    yield leaf
    if depth >= _DEEP:
        return
    if leaf.type.id == "list":
        item: duckdb.sqltypes.DuckDBPyType = leaf.type.children[0][1]  # type: ignore[assignment]
        unnested = f"SELECT unnest(it) AS it FROM ({leaf.source}) distil_rows"
        yield from list(_leaves(Leaf(f"{leaf.name}[]", item, unnested), depth))[1:]
    for field, type_ in fields(leaf.type):
        inside = f"SELECT it.{quoted(field)} AS it FROM ({leaf.source}) distil_rows WHERE it IS NOT NULL"
        yield from _leaves(Leaf(f"{leaf.name}.{field}", type_, inside), depth + 1)


def _measured(con: duckdb.DuckDBPyConnection, leaf: Leaf) -> list[str]:
    kind = leaf.type.id
    measured, unit = {
        "varchar": ("length(it)", " characters"),
        "list": ("len(it)", " items"),
        "array": ("len(it)", " items"),
        "map": ("cardinality(it)", " entries"),
        "boolean": ("it::INTEGER", ""),
    }.get(kind, ("it::DOUBLE" if kind in NUMBERS else "NULL::DOUBLE", ""))
    found = con.execute(
        f"""SELECT avg((it IS NULL)::INTEGER), approx_count_distinct(it), min({measured}), avg({measured}),
            max({measured})
        FROM ({leaf.source}) distil_rows"""
    ).fetchone()
    assert found is not None
    nulls, distinct, low, mean, high = found
    shown = "" if low is None else f"{low:g} to {high:g}, mean {mean:.4g}{unit}"
    if kind == "boolean" and mean is not None:
        shown = f"true {mean:.1%}"
    return [f"`{leaf.name}`", f"`{leaf.type}`", f"{(nulls or 0):.1%}", f"{distinct:,}", shown]


def _tasks(past: Lineage) -> str:
    tasks = {task.name.lower(): task for task in past.tasks}
    lines = []
    for each in past.spent:
        task = tasks[each.task.lower()]
        current = each.version == task.version
        lines.append(
            [
                f"`{task.name}`", task.kind, str(each.version), f"`{prompt_hash(task)}`" if current else "(earlier)",
                f"`{each.model}`", f"{each.calls:,}", f"{each.failed / each.calls:.1%}", f"{each.input_tokens:,}",
                f"{each.output_tokens:,}", "" if each.cost is None else f"{each.cost:.4f}",
            ]
        )  # fmt: skip
    priced = [each.cost for each in past.spent if each.cost is not None]
    total = f"\n\nIn all {sum(each.calls for each in past.spent):,} calls" + (
        f" for {sum(priced):.4f} USD." if priced else "; no price was given for the models."
    )
    headers = ["task", "kind", "version", "prompt hash", "model", "calls", "failed", "tokens in", "tokens out", "USD"]
    return _table(headers, lines) + total


def _models(past: Lineage) -> str:
    lines = []
    for model, options in past.models.items():
        given = ", ".join(
            f"{key} {json.dumps(value, ensure_ascii=False)}" for key, value in options.items() if key != "type"
        )
        lines.append([f"`{model}`", str(options["type"]), given])
    return _table(["model", "type", "parameters"], lines)


def _table(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    cells = [headers, ["---"] * len(headers), *lines]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in cells
    )
