"""Preview: the first rows of every statement, rendered and answered, with nothing written.

The script runs in a database in memory that lies over the user's own, which is attached read-only: tables are found
there, tables made by the script are made (short) in memory, and answers that the ledger holds are used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from distil_sql.check import apply_ddl, called_tasks, check_script
from distil_sql.errors import DistilError, OptionError
from distil_sql.pipeline.faults import sql_error
from distil_sql.quoting import name, text
from distil_sql.script import CreateModel, CreateTask, Source, Sql, Statement, read_script
from distil_sql.script.anatomy import inner_select, target
from distil_sql.session import Session, database_error
from distil_sql.udf.macros import PASS_VARIABLE, create_macros
from distil_sql.udf.passes import Mode, Pass

_SOURCE = "source"


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
    statements = [_replacing(statement) for statement in read_script(source)]
    session = Session.open(":memory:")
    try:
        con = session.cursor()
        _lay_over(session, con, database)
        session.registry.overrides = overrides or {}
        check_script(statements, session.registry, con)
        for statement in statements:
            if not isinstance(statement, Sql):
                try:
                    session.define(con, apply_ddl(statement, session.registry, con))
                except (OptionError, duckdb.Error) as error:
                    raise statement.error(str(error)) from None
            elif called_tasks(statement, session.registry):
                yield _answered(session, con, statement, rows)
            elif (note := _prepared(con, statement)) is not None:
                yield Shown(statement.number, _label(statement), note=note)
    finally:
        session.close()


def _replacing(statement: Statement) -> Statement:
    """What a run has made already may be made again here."""
    if isinstance(statement, CreateModel | CreateTask):
        return replace(statement, replace=True)
    return statement


def _lay_over(session: Session, con: duckdb.DuckDBPyConnection, database: str) -> None:
    """Attach the user's database read-only below the one in memory, with its models, tasks and ledger."""
    con.execute("SET python_enable_replacements = false")
    if not Path(database).exists():
        return
    try:
        con.execute(f"ATTACH {text(database)} AS {_SOURCE} (READ_ONLY)")
    except duckdb.Error as error:
        raise database_error(database, error) from None
    con.execute(f"SET search_path = 'memory.main,{_SOURCE}.main'")
    held = con.execute(
        f"SELECT 1 FROM duckdb_tables() WHERE database_name = '{_SOURCE}' AND schema_name = 'distil'"
    ).fetchone()
    if held is None:
        return
    for table in ("models", "tasks"):
        con.execute(f"INSERT OR REPLACE INTO memory.distil.{table} BY NAME SELECT * FROM {_SOURCE}.distil.{table}")
    session.registry.load(session.root)
    for task in session.registry.tasks.values():
        create_macros(session.root, task)
    session.ledger.tables = ("distil.calls", f"{_SOURCE}.distil.calls")


def _answered(session: Session, con: duckdb.DuckDBPyConnection, statement: Sql, rows: int) -> Shown:
    query = inner_select(statement)
    if query is None:
        return Shown(statement.number, _label(statement), note="its rows cannot be shown beforehand")
    limited = f"SELECT * FROM ({query}\n) LIMIT {rows}"
    current = Pass(Mode.BLOCKING, session.run_id, keys=[])
    session.functions.enter(current)
    con.execute(f"SET VARIABLE {PASS_VARIABLE} = '{current.token}'")
    try:
        found = con.execute(limited)
        columns = [column[0] for column in found.description or []]
        answered = found.fetchall()
        aim = target(statement)
        if statement.verb == "CREATE" and aim:
            con.execute(f"CREATE OR REPLACE TABLE memory.main.{name(_last_part(aim))} AS {limited}")
    except duckdb.Error as error:
        if isinstance(current.error, DistilError):
            raise type(current.error)(f"{statement.source.file}:{statement.line}: {current.error}") from None
        raise sql_error(statement, error) from None
    finally:
        session.functions.leave(current)
        con.execute(f"RESET VARIABLE {PASS_VARIABLE}")
    details = session.ledger.details(list(dict.fromkeys(current.keys or []))[: 2 * rows])
    calls = [(str(row[8]), str(row[7]), _text(row[1]), str(row[2]), _text(row[5])) for row in details.values()]
    return Shown(statement.number, _label(statement), columns, answered, calls)


def _prepared(con: duckdb.DuckDBPyConnection, statement: Sql) -> str | None:
    """Run a statement that later ones may need, in memory; a note where it is left out because it would write."""
    if statement.tokens[0].is_word("COPY", "EXPORT", "CHECKPOINT", "VACUUM"):
        return "not run: it writes"
    try:
        con.execute(statement.text)
    except duckdb.Error as error:
        if "read-only" in str(error):
            return "not run: it writes the database itself"
        raise sql_error(statement, error) from None
    return None


def _label(statement: Statement) -> str:
    assert isinstance(statement, Sql)
    return f"{statement.verb} {target(statement) or ''}".strip()


def _last_part(qualified: str) -> str:
    return qualified.split(".")[-1].strip('"')


def _text(value: object) -> str | None:
    return None if value is None else str(value)
