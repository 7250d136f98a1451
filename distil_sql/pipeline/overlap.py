"""Ask for the next statement's calls while this one's are still being answered.

Where the next statement reads this one's table row by row (`script.rowwise`), its demand pass is run again and again
over the rows answered so far. That only asks for calls which the next statement is certain to need; its own demand and
replay follow in their turn, so the result is the same, only sooner: generator and labeller work side by side.
"""

from __future__ import annotations

import threading
import time

import duckdb

from distil_sql.engine import Tally
from distil_sql.errors import DistilError
from distil_sql.script import Sql
from distil_sql.session import Session
from distil_sql.udf.passes import Mode, Pass, evaluated

_EVERY_S = 0.1
_FIRST = 50  # a fiftieth of the calls is answered before the first look
_REST = 4  # between two looks, for so many times as long as one takes; once, when few calls are left
_FEW = 10  # less than a tenth


class Overlap:
    """A thread that looks ahead for as long as one statement is under way, if the next one allows it.

    `statements` are the two, `tallies` theirs; the connection is closed at the end.
    """

    def __init__(
        self,
        session: Session,
        con: duckdb.DuckDBPyConnection,
        run_id: str,
        statements: tuple[Sql, Sql],
        tallies: tuple[Tally, Tally],
    ) -> None:
        self._session, self._con, self._statements = session, con, statements
        self._run_id, (self._earlier, self._later) = run_id, tallies
        self._later.ahead = True
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="distil-overlap", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it, in the middle of a pass if need be."""
        self._stopped.set()
        while self._thread.is_alive():
            self._con.interrupt()
            self._thread.join(0.02)
        self._con.close()

    def _work(self) -> None:
        query = self._query()
        seen, rested = 0, 0.0
        while query is not None and not self._stopped.wait(_EVERY_S):
            answered, total = self._earlier.done, self._earlier.total
            # as long as every server has calls waiting, more of them gain nothing
            needed = self._session.engine.runs_dry() if seen else answered >= total // _FIRST
            if answered == seen or not needed or time.monotonic() < rested:
                continue
            started = time.monotonic()
            if not self._look(query):
                return
            seen = answered
            took = time.monotonic() - started
            rested = time.monotonic() + took * (1 if self._earlier.open * _FEW < total else _REST)

    def _query(self) -> str | None:
        """The next statement's query over this one's rows, None where it does not read them one by one."""
        from distil_sql.script.rowwise import overlap_query  # sqlglot takes a while to load

        written = "SELECT DISTINCT lower(function_name) FROM duckdb_functions() WHERE NOT internal"
        try:  # what is not DuckDB's own may call a task
            return overlap_query(*self._statements, {row[0] for row in self._con.execute(written).fetchall()})
        except duckdb.Error:
            return None

    def _look(self, query: str) -> bool:
        """One pass; False where there is no point in another."""
        current = Pass(Mode.DEMAND, self._run_id, self._later, counts_hits=False)
        try:
            with self._session.functions.passes.during(self._con, current):
                for _ in evaluated(self._con, query):
                    if self._stopped.is_set():
                        return False
        except (duckdb.Error, DistilError):
            return False  # it is the statements themselves that tell what is wrong
        return True
