"""Preview: the first rows of every statement, rendered and answered, with nothing written (see `overlay`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from distil_sql.check import called_tasks
from distil_sql.pipeline.overlay import Overlay
from distil_sql.script import Source, Sql, Statement
from distil_sql.script.anatomy import inner_select, target
from distil_sql.udf.passes import Mode, Pass


@dataclass
class Shown:
    """One statement's rows, and the calls behind them: (messages, model, response, status, error)."""

    number: int
    label: str
    columns: list[str] = field(default_factory=list)
    rows: Sequence[Sequence[object]] = ()
    calls: list[tuple[str, str, str | None, str, str | None]] = field(default_factory=list)
    note: str | None = None


def preview(source: Source, database: str, rows: int, overrides: dict[str, str] | None = None) -> Iterator[Shown]:
    """The first `rows` rows of each statement that calls a task; raises as `run` does."""
    with Overlay(source, database, overrides) as over:
        for statement in over.statements:
            if isinstance(statement, Sql) and called_tasks(statement, over.session.registry):
                yield _answered(over, statement, rows)
            elif (note := over.prepare(statement)) is not None:
                yield Shown(statement.number, _label(statement), note=note)


def _answered(over: Overlay, statement: Sql, rows: int) -> Shown:
    session, con = over.session, over.con
    query = inner_select(statement)
    if query is None:
        return Shown(statement.number, _label(statement), note="its rows cannot be shown beforehand")
    limited = f"SELECT * FROM ({query}\n) LIMIT {rows}"
    current = Pass(Mode.BLOCKING, session.run_id, keys=[])
    with over.during(statement, current):
        found = con.execute(limited)
        columns = [column[0] for column in found.description or []]
        answered = found.fetchall()
        aim = target(statement)
        if statement.verb == "CREATE" and aim:
            over.make(aim, limited)
    details = session.ledger.details(list(dict.fromkeys(current.keys or []))[: 2 * rows])
    calls = [(str(row[8]), str(row[7]), _text(row[1]), str(row[2]), _text(row[5])) for row in details.values()]
    return Shown(statement.number, _label(statement), columns, answered, calls)


def _label(statement: Statement) -> str:
    assert isinstance(statement, Sql)
    return f"{statement.verb} {target(statement) or ''}".strip()


def _text(value: object) -> str | None:
    return None if value is None else str(value)
