"""Names and texts as SQL literals: the one place that quotes."""

from __future__ import annotations


def name(identifier: str) -> str:
    """A quoted identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str | None) -> str:
    """A quoted string, or NULL."""
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"
