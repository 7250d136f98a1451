"""A table as Argilla 2 reads it: `settings.json` and `records.json`, without Argilla being installed.

What a labeller task made is a question with its value as a suggestion, other texts and conversations are fields, the
rest is metadata; a question's kind follows from its DuckDB type. In Argilla:

    settings = rg.Settings.from_json("folder/settings.json")
    dataset = rg.Dataset("name", settings=settings).create()
    dataset.records.from_json("folder/records.json")
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from distil_sql.errors import DatabaseError, OptionError
from distil_sql.export.columns import NUMBERS, Table, fields, find_table, is_messages, portable
from distil_sql.export.lineage import lineage
from distil_sql.quoting import name as quoted
from distil_sql.registry import Registry
from distil_sql.task import Task

_RATINGS = range(11)  # the values that Argilla lets a rating have
_SHARED: Mapping[str, Any] = {"id": None, "inserted_at": None, "updated_at": None, "dataset_id": None}


@dataclass(frozen=True)
class Part:
    """One field, question or piece of metadata: its SQL, and its settings as Argilla writes them."""

    name: str
    sql: str
    settings: Mapping[str, Any]
    agent: str | None = None


@dataclass(frozen=True)
class Mapped:
    """How a table's columns become records."""

    id: str | None
    fields: list[Part]
    questions: list[Part]
    metadata: list[Part]

    def settings(self, guidelines: str) -> dict[str, Any]:
        """As `rg.Settings(…).serialize()` gives them."""
        return {
            "guidelines": guidelines or None,
            "questions": [self._property(part, "description", "required") for part in self.questions],
            "fields": [self._property(part, "required", "description") for part in self.fields],
            "vectors": [],
            "metadata": [
                {
                    **_SHARED,
                    "name": part.name,
                    "settings": part.settings,
                    "title": part.name,
                    "visible_for_annotators": True,
                }
                for part in self.metadata
            ],
            "allow_extra_metadata": False,
            "distribution": {"strategy": "overlap", "min_submitted": 1},
            "mapping": None,
        }

    def _property(self, part: Part, *order: str) -> dict[str, Any]:
        required = part is self.fields[0] or part is self.questions[0]
        said = {"description": None, "required": required, "visible_for_annotators": True}
        type_ = {} if part in self.metadata else {"type": part.settings["type"]}
        about = {key: said[key] for key in order}
        return {**_SHARED, "name": part.name, "settings": part.settings, "title": part.name, **about, **type_}


def write_records(con: duckdb.DuckDBPyConnection, registry: Registry, table: str, folder: Path) -> int:
    """Write both files into a folder; gives the number of records.

    Raises OptionError where nothing can be a field or a question.
    """
    source = find_table(con, table)
    labellers = [task for task in lineage(con, registry, table).tasks if task.kind == "labeller"]
    mapped = mapping(con, source, labellers)
    guidelines = "\n\n".join(task.system for task in labellers if task.system and "{" not in task.system)
    records = list(_records(con, source, mapped))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in (("settings.json", mapped.settings(guidelines)), ("records.json", records)):
            (folder / file).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        raise DatabaseError(f"{folder} cannot be written: {error.strerror}: name a folder with -o") from None
    return len(records)


def mapping(con: duckdb.DuckDBPyConnection, source: Table, labellers: list[Task]) -> Mapped:
    """Derive fields, questions and metadata from the columns' types and from what the labeller tasks return."""
    returned = {str(con.sqltype(task.returns)): task.name for task in labellers if task.returns.upper() != "VARCHAR"}
    found = Mapped(_id(con, source), [], [], [])
    for column, type_ in source.columns.items():
        agent = returned.get(str(type_))
        if quoted(column) == found.id:
            continue
        if agent or type_.id in ("struct", "enum", "boolean") or (type_.id == "list" and _inner(type_).id == "enum"):
            for inner, sql, inner_type in _leaves(column, type_):
                settings = _question(con, source, sql, inner_type)
                if settings is not None:
                    found.questions.append(Part(inner, sql, settings, agent))
                else:
                    found.metadata.extend(_metadata(inner, sql, inner_type))
        elif is_messages(type_):
            found.fields.append(Part(column, quoted(column), {"type": "chat", "use_markdown": True}))
        elif type_.id == "varchar":
            found.fields.append(Part(column, quoted(column), {"type": "text", "use_markdown": False}))
        else:
            found.metadata.extend(_metadata(column, quoted(column), type_))
    if not found.fields:
        raise OptionError(f"table {source.name!r} has no text to show to people: Argilla needs a VARCHAR column")
    if not found.questions:
        raise OptionError(
            f"table {source.name!r} has nothing to ask people about: Argilla needs a column that a labeller task made, "
            "or a STRUCT, ENUM or BOOLEAN"
        )
    return found


def _id(con: duckdb.DuckDBPyConnection, source: Table) -> str | None:
    """The column `id`, if it tells the records apart."""
    for column in source.columns:
        if column.lower() == "id":
            query = f"SELECT count(DISTINCT {quoted(column)}) = count(*) FROM {source.sql}"
            return quoted(column) if con.execute(query).fetchall() == [(True,)] else None
    return None


def _leaves(column: str, type_: Any) -> Iterator[tuple[str, str, Any]]:
    """A column, or the fields of a struct, as name, SQL and type."""
    if type_.id != "struct":
        yield column, quoted(column), type_
        return
    for field, inner in fields(type_):
        yield f"{column}.{field}".replace(".", "_").lower(), f"{quoted(column)}.{quoted(field)}", inner


def _question(con: duckdb.DuckDBPyConnection, source: Table, sql: str, type_: Any) -> dict[str, Any] | None:
    """A question's settings by type; None for what Argilla cannot ask."""
    if type_.id == "enum":
        return {
            "type": "label_selection",
            "options": _options(_labels(type_)),
            "visible_options": _visible(_labels(type_)),
        }
    if type_.id == "list" and _inner(type_).id == "enum":
        labels = _labels(_inner(type_))
        return {"type": "multi_label_selection", "options": _options(labels), "visible_options": _visible(labels),
                "options_order": "natural"}  # fmt: skip
    if type_.id == "boolean":
        return {"type": "label_selection", "options": _options(["true", "false"]), "visible_options": None}
    if type_.id == "varchar":
        return {"type": "text", "use_markdown": False}
    if type_.id in NUMBERS and type_.id not in ("float", "double", "decimal"):
        low, high = con.execute(f"SELECT min({sql}), max({sql}) FROM {source.sql}").fetchall()[0]
        if low is None or (low in _RATINGS and high in _RATINGS):
            top = max(high or 0, 5 if low else 1)
            return {"type": "rating", "options": [{"value": value} for value in range(min(low or 1, 1), top + 1)]}
    return None


def _metadata(name: str, sql: str, type_: Any) -> list[Part]:
    common = {"visible_for_annotators": True}
    if type_.id in ("float", "double", "decimal"):
        return [Part(name, f"{sql}::DOUBLE", {**common, "min": None, "max": None, "type": "float"})]
    if type_.id in NUMBERS:
        return [Part(name, sql, {**common, "min": None, "max": None, "type": "integer"})]
    if type_.id in ("varchar", "uuid", "enum", "boolean", "date", "timestamp"):
        return [Part(name, f"{sql}::VARCHAR", {**common, "type": "terms", "values": None})]
    return []  # lists and the like are no metadata


def _records(con: duckdb.DuckDBPyConnection, source: Table, mapped: Mapped) -> Iterator[dict[str, Any]]:
    """Each row as `rg.Record(…).to_dict()` gives it; a row whose field is NULL has no such field."""
    parts = [*mapped.fields, *mapped.questions, *mapped.metadata]
    types = con.sql(f"SELECT {', '.join(part.sql for part in parts)} FROM {source.sql}").types
    listed = ", ".join(f"CAST({part.sql} AS {portable(type_)})" for part, type_ in zip(parts, types, strict=True))
    rows = con.execute(f"SELECT {mapped.id or 'row_number() OVER ()'}::VARCHAR, {listed} FROM {source.sql}")
    first, second = len(mapped.fields), len(mapped.fields) + len(mapped.questions)
    while batch := rows.fetchmany(2048):
        for id_, *values in batch:
            yield {
                "id": id_,
                "fields": _present(mapped.fields, values[:first]),
                "metadata": _present(mapped.metadata, values[second:]),
                "suggestions": {
                    part.name: {"value": _answer(value), "score": None, "agent": part.agent}
                    for part, value in zip(mapped.questions, values[first:second], strict=True)
                    if value is not None
                },
                "responses": {},
                "vectors": {},
                "status": "pending",
                "_server_id": None,
            }


def _present(parts: list[Part], values: list[Any]) -> dict[str, Any]:
    return {part.name: value for part, value in zip(parts, values, strict=True) if value is not None}


def _answer(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _inner(type_: Any) -> Any:
    return type_.children[0][1]


def _labels(type_: Any) -> list[str]:
    return [str(label) for label in type_.children[0][1]]


def _options(labels: list[str]) -> list[dict[str, str]]:
    return [{"text": label, "value": label} for label in labels]


def _visible(labels: list[str]) -> int | None:
    return None if len(labels) < 3 else len(labels)
