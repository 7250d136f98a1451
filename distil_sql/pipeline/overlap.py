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
from distil_sql.session import Session
from distil_sql.udf.passes import Mode, Pass

_EVERY_S = 0.1
_SHARE = 4  # at most a quarter of the time goes into looking ahead, until few calls are left
_FEW = 10  # less than a tenth: the window is about to run dry


class Overlap:
    """A thread that looks ahead for as long as one statement is under way.

    `query` is the next statement's, over this one's rows; `earlier` and `later` are the tallies of the two.
    """

    def __init__(
        self, session: Session, con: duckdb.DuckDBPyConnection, run_id: str, query: str, earlier: Tally, later: Tally
    ) -> None:
        self._session, self._con, self._query = session, con, query
        self._run_id, self._earlier, self._later = run_id, earlier, later
        later.ahead = True
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
        seen, rested = 0, 0.0
        while not self._stopped.wait(_EVERY_S):
            answered, total = self._earlier.done, self._earlier.total
            few_left = self._earlier.open * _FEW < total
            if answered == seen or (not few_left and (answered - seen < total // 50 or time.monotonic() < rested)):
                continue
            started = time.monotonic()
            if not self._look():
                return
            seen = answered
            rested = time.monotonic() + _SHARE * (time.monotonic() - started)

    def _look(self) -> bool:
        """One pass; False where there is no point in another."""
        current = Pass(Mode.DEMAND, self._run_id, self._later, counts_hits=False)
        try:
            with self._session.functions.passes.during(self._con, current):
                for _ in self._con.sql(self._query).to_arrow_reader(2048):
                    if self._stopped.is_set():
                        return False
        except (duckdb.Error, DistilError):
            return False  # it is the statements themselves that tell what is wrong
        return True
