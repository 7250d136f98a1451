"""Training-set formats: which macro of `sql/macros/training_sets.sql` makes each, and what it needs of a table.

`rows_of(con, "labelled", Shape("dpo"))` finds the columns and gives the query; a table that has a format's columns
already is taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import duckdb

from distil_sql.errors import OptionError
from distil_sql.export.columns import Table, columns_of, find_table
from distil_sql.quoting import text
from distil_sql.task import nearest


@dataclass(frozen=True)
class Format:
    """A macro, the columns it makes, the roles it needs and takes, and its settings."""

    macro: str
    makes: tuple[str, ...]
    needs: tuple[str, ...] = ("prompt", "response")
    takes: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


_PAIRS = ("strategy", "keep_ties", "margin", "seed")

FORMATS: Mapping[str, Format] = {
    "sft": Format("to_sft", ("messages",), takes=("system", "score"), settings=("min_score", "best")),
    "prompt-completion": Format(
        "to_prompt_completion", ("prompt", "completion"), takes=("score",), settings=("min_score",)
    ),
    "dpo": Format("to_dpo", ("prompt", "chosen", "rejected"), ("prompt", "response", "score"), settings=_PAIRS),
    "orpo": Format(
        "to_orpo", ("prompt", "chosen", "rejected"), ("prompt", "response", "score"), ("system",), settings=_PAIRS
    ),
    "reward": Format(
        "to_reward",
        ("chosen", "rejected"),
        ("prompt", "response", "score"),
        ("system",),
        ("strategy", "margin", "seed"),
    ),
    "kto": Format("to_kto", ("prompt", "completion", "label"), ("prompt", "response", "wanted")),
}
"""Formats by the name that `--format` takes."""


@dataclass(frozen=True)
class Shape:
    """What is asked for: a format (None: the table as it is), expressions for its roles, and the macro's settings."""

    format: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Rows:
    """What goes out: the query, its columns, and the table that it comes from."""

    query: str
    columns: Mapping[str, duckdb.sqltypes.DuckDBPyType]
    table: Table
    format: str | None

    def split(self, part: str, share: float, seed: int, by: str | None) -> Rows:
        """One part, 'train' or 'test', of a hash split; rows that share a prompt (or `by`) stay together."""
        where = f"split_of({by or self._key()}, test := {share}, seed := {seed}) = {text(part)}"
        return Rows(f"SELECT * FROM ({self.query}) distil_part WHERE {where}", self.columns, self.table, self.format)

    def _key(self) -> str:
        for column in ("prompt", "instruction", "question"):
            if column in self.columns:
                return f'"{column}"'
        for column in ("messages", "chosen"):
            if column in self.columns:
                return f'"{column}"[:-2]'  # all but the last turn
        return "distil_part"


def rows_of(con: duckdb.DuckDBPyConnection, table: str, shape: Shape) -> Rows:
    """The rows to export. OptionError names the table, column or option that does not fit."""
    source = find_table(con, table)
    if shape.format is None:
        _refuse(shape, "no --format")
        return Rows(f"FROM {source.sql}", source.columns, source, None)
    if shape.format not in FORMATS:
        raise OptionError(f"there is no format {shape.format!r}{nearest(shape.format, FORMATS)}")
    form = FORMATS[shape.format]
    if set(form.makes) <= set(source.columns) and not shape.roles:
        _refuse(shape, f"table {table!r}, which has the columns of {shape.format!r} already,")
        return Rows(f"FROM {source.sql}", source.columns, source, shape.format)
    arguments = [f"{role} := {sql}" for role, sql in _roles(source, form, shape).items()]
    for setting, value in shape.settings.items():
        if setting not in form.settings:
            raise OptionError(f"--{setting.replace('_', '-')} is not for --format {shape.format}")
        arguments.append(f"{setting} := {text(value) if isinstance(value, str) else value}")
    query = f"WITH distil_source AS (FROM {source.sql}) FROM {form.macro}(distil_source, {', '.join(arguments)})"
    try:
        return Rows(query, columns_of(con, query), source, shape.format)
    except duckdb.Error as error:
        reason = " ".join(str(error).split("\n")[0].split()).split(": ", 1)[-1]
        given = ", ".join(arguments)
        raise OptionError(f"table {table!r} cannot be made {shape.format} with {given}: {reason}") from None


def _roles(source: Table, form: Format, shape: Shape) -> dict[str, str]:
    """The expression behind each role: the one given, else the column that is called so."""
    found: dict[str, str] = {}
    for role in shape.roles:
        if role not in (*form.needs, *form.takes):
            raise OptionError(f"--{role} is not for --format {shape.format}")
    for role in (*form.needs, *form.takes):
        sql = shape.roles.get(role)
        if sql is None and (role in form.needs or role == "system" or {"min_score", "best"} & set(shape.settings)):
            sql = source.role(role)
        if sql is not None:
            found[role] = f"({sql})"
        elif role in form.needs:
            hint = "a condition, such as 'score >= 4'" if role == "wanted" else "a column or an expression"
            raise OptionError(
                f"--format {shape.format} needs to know the {role}, and table {source.name!r} has no column called so: "
                f"give --{role} {hint}"
            )
    if {"min_score", "best"} & set(shape.settings) and "score" not in found:
        raise OptionError(f"table {source.name!r} has no score to choose by: name one with --score")
    return found


def _refuse(shape: Shape, why: str) -> None:
    for option in (*shape.roles, *shape.settings):
        raise OptionError(f"--{option.replace('_', '-')} says nothing with {why}: give a --format that uses it")
