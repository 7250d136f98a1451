"""Every call of one query, made before its rows are read: demand and drain on the user's own connection.

`ask_ahead(session, con, query)` leaves the query to be answered from the ledger, by whatever evaluates it.
"""

from __future__ import annotations

import duckdb

from distil_sql.engine import Tally
from distil_sql.errors import DistilError, OptionError
from distil_sql.pipeline.execute import MAX_PASSES
from distil_sql.script import Source, Sql, read_script
from distil_sql.script.anatomy import inner_select
from distil_sql.session import Session
from distil_sql.udf.passes import Mode, Pass, evaluated

_QUERY = ("SELECT", "FROM", "WITH", "VALUES", "TABLE", "PIVOT", "UNPIVOT", "(")


def ask_ahead(session: Session, con: duckdb.DuckDBPyConnection, query: str) -> Tally:
    """Ask for all that a SELECT needs, with a sliding window over all its rows, and wait for it.

    The query is run once for each task in a task and once more, its rows thrown away; it sees what the connection sees.
    Raises OptionError for anything but one SELECT, RunError or ModelError where calls stopped, and DuckDB's own errors.
    """
    _check(query)
    tally = Tally()
    functions, engine = session.functions, session.engine
    with functions.watcher(tally):
        for _ in range(MAX_PASSES):
            current = Pass(Mode.DEMAND, session.run_id, tally, counts_hits=False)
            before = tally.total
            try:
                with functions.passes.during(con, current):
                    for _ in evaluated(con, query):
                        pass
                engine.drain(tally)
            except BaseException as error:
                if not isinstance(error, Exception):  # Ctrl-C: no more calls
                    engine.interrupt()
                stopped = engine.recover()
                if isinstance(error, duckdb.Error) and isinstance(current.error, DistilError):
                    raise stopped or current.error from None
                raise
            if tally.total == before:
                break
    return tally


def _check(query: str) -> None:
    statements = read_script(Source(query)) if query.strip() else []
    one = statements[0] if len(statements) == 1 else None
    if not isinstance(one, Sql) or one.tokens[0].text.upper() not in _QUERY or inner_select(one) != one.text:
        raise OptionError("sql takes one SELECT: use distil_sql.run(script, con) for anything else")
