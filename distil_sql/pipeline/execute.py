"""One statement: demand, drain, replay.

Demand runs the statement's inner SELECT and throws its rows away, so that every call is known and under way; drain
waits until all are in the ledger; replay runs the statement itself, verbatim, in one transaction with its `done` row.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import duckdb

from distil_sql.check import apply_ddl, called_tasks
from distil_sql.errors import DistilError, Interrupted, OptionError
from distil_sql.pipeline.faults import ddl_reason, sql_error
from distil_sql.pipeline.overlap import Overlap
from distil_sql.script import Sql, Statement
from distil_sql.script.anatomy import inner_select, is_conditional, is_transactional, target, transaction_verb
from distil_sql.session import Session
from distil_sql.status import Journal, Line, now
from distil_sql.udf.passes import Missing, Mode, Pass, evaluated

MAX_PASSES = 6  # a task nested in a task takes one more each; what needs more will not settle
MAX_SHOWN = 20  # rows of a SELECT that a run shows
_SHOWN = ("SELECT", "FROM", "WITH", "VALUES", "TABLE", "DESCRIBE", "SHOW", "SUMMARIZE", "EXPLAIN", "PIVOT", "UNPIVOT")


Fetch = Callable[[duckdb.DuckDBPyConnection, Sql, Line], None]
"""Runs a statement's own text on a connection and keeps what there is to show of it."""


def first_rows(con: duckdb.DuckDBPyConnection, statement: Sql, line: Line) -> None:
    """Run a statement; keep the first rows of one that only reads, or how many rows another wrote."""
    found = con.execute(statement.text)
    columns = [column[0] for column in found.description or ()]
    if target(statement) is None and columns and statement.verb in _SHOWN:
        line.result = columns, found.fetchmany(MAX_SHOWN + 1)
    elif columns == ["Count"] and (count := found.fetchone()):
        line.tally.rows = count[0]


class Executor:
    """Executes the statements of one run on one connection."""

    def __init__(
        self,
        session: Session,
        con: duckdb.DuckDBPyConnection,
        journal: Journal,
        look_ahead: Callable[[], duckdb.DuckDBPyConnection] | None = None,
        fetch: Fetch = first_rows,
    ) -> None:
        """`look_ahead` makes a connection to look ahead on; None: statements never overlap."""
        self.fetch = fetch
        self.session, self.con, self.journal, self.look_ahead = session, con, journal, look_ahead
        self.run_id = journal.state.run_id
        self._overlap: Overlap | None = None
        self._ahead: tuple[Statement, Line] | None = None  # the statement that is looked ahead for
        self.blamed: Line | None = None  # of that statement, where one of its calls stopped the run
        self._in_transaction = False
        self.aborted = False  # the user's transaction can only be rolled back, which DuckDB does at a COMMIT too
        self._transaction: list[Line] = []  # the statements of the script's own transaction, so far

    def execute(self, statement: Statement, line: Line, following: tuple[Statement, Line] | None = None) -> None:
        """Run one statement to its `done` row; raises ScriptError, RunError, ModelError or Interrupted.

        Calls of the `following` statement may be asked for meanwhile, where it reads this one's rows one by one.
        """
        self.session.engine.check()
        line.state, line.started_at = "running", now()
        if not self._in_transaction:
            self.journal.write(self.con, line)
        else:
            self._transaction.append(line)
        if isinstance(statement, Sql):
            with self.session.ledger.remembering():
                self._sql(statement, line, following)
        else:
            self._ddl(statement, line)

    @property
    def in_transaction(self) -> bool:
        """Whether a BEGIN of the user's own is open."""
        return self._in_transaction

    def resume(self) -> bool:
        """Be ready for the next statement after one that failed; True where the open transaction was lost with it."""
        before = self._in_transaction
        query = "SELECT txid_current()"
        try:
            self._in_transaction = self.con.execute(query).fetchall() == self.con.execute(query).fetchall()
        except duckdb.TransactionException:
            self._in_transaction = self.aborted = True
        if not self._in_transaction:
            self.session.registry.load(self.con)
        return before and not self._in_transaction

    def end(self, statements: Sequence[Statement]) -> None:
        """After the last statement: a transaction that is still open would be lost."""
        if self._in_transaction:
            self._rollback()
            number = self._transaction[0].statement_no
            raise statements[number - 1].error("this transaction is never ended: add COMMIT")

    def _ddl(self, statement: Statement, line: Line) -> None:
        registry = self.session.registry
        self.con.execute("BEGIN") if not self._in_transaction else None
        try:
            task = apply_ddl(statement, registry, self.con)
            self.session.define(self.con, task)
            self._done(line)
            self.con.execute("COMMIT") if not self._in_transaction else None
        except (OptionError, duckdb.Error) as error:
            self._rollback()
            registry.load(self.con)
            raise statement.error(ddl_reason(error)) from None

    def _sql(self, statement: Sql, line: Line, following: tuple[Statement, Line] | None) -> None:
        verb = transaction_verb(statement)
        if verb is not None or self._in_transaction:
            self._explicit(statement, line, verb)
            return
        query = inner_select(statement)
        tasks = called_tasks(statement, self.session.registry)
        certain = query is not None and tasks and not is_conditional(statement)  # what it misses it is going to need
        if (not certain or self._asked_before(tasks)) and self._replay(statement, line, asks=bool(certain)):
            return
        line.mode = Mode.DEMAND.value
        if query is None:
            self._blocking(statement, line, "its rows cannot be demanded beforehand")
            return
        asked_before = 0
        for attempt in range(MAX_PASSES):
            with self._looking_ahead(statement, line, following if attempt == 0 else None):
                demanded = self._demand(statement, line, query, first=attempt == 0)
                self._drain(statement, line, alone=attempt == 0)
            if self._replay(statement, line):
                return
            if not demanded:
                break
            asked, asked_before = line.tally.total - asked_before, line.tally.total
            if attempt >= 2 and asked >= line.tally.total / 2:
                break  # every pass asks as much as the one before: it depends on something random
        self._blocking(statement, line, "its prompts differ each time it is run")

    def _asked_before(self, tasks: set[str]) -> bool:
        """Whether the ledger knows these tasks: then it may hold every answer, and one pass is enough."""
        names = sorted(tasks)
        query = f"SELECT 1 FROM distil.calls WHERE task IN ({', '.join('?' * len(names))}) LIMIT 1"
        return self.con.execute(query, names).fetchone() is not None

    # -- the three stages ---------------------------------------------------------------------------------------------

    def _demand(self, statement: Sql, line: Line, query: str, *, first: bool) -> bool:
        """Ask for everything the statement's rows need; False where the inner SELECT could not be run."""
        current = Pass(Mode.DEMAND, self.run_id, line.tally, counts_hits=first)
        self.session.engine.on_commit(self._progress(line))
        with self.session.functions.passes.during(self.con, current):
            try:
                for rows in evaluated(self.con, query):
                    line.tally.rows += rows if first else 0
            except duckdb.Error as error:
                self._raise_stop(statement, current, error)
                return False
        return True

    @contextlib.contextmanager
    def _looking_ahead(self, statement: Sql, line: Line, following: tuple[Statement, Line] | None) -> Iterator[None]:
        """Meanwhile, ask for what the following statement is certain to need."""
        self._overlap = self._overlap_with(statement, line, *following) if following is not None else None
        self._ahead = following if self._overlap is not None else None
        try:
            yield
        finally:
            self._stop_overlap()

    def _stop_overlap(self) -> None:
        overlap, self._overlap = self._overlap, None
        if overlap is not None:
            overlap.stop()

    def _overlap_with(self, statement: Sql, line: Line, later: Statement, later_line: Line) -> Overlap | None:
        if self.look_ahead is None or not isinstance(later, Sql) or not called_tasks(later, self.session.registry):
            return None
        return Overlap(self.session, self.look_ahead(), self.run_id, (statement, later), (line.tally, later_line.tally))

    def _drain(self, statement: Sql, line: Line, *, alone: bool) -> None:
        """Wait until every call of the statement (`alone`), or every call there is, is in the ledger."""
        try:
            self.session.engine.drain(line.tally if alone else None)
        except DistilError as error:
            self._stopped(statement, error)
        finally:
            self.session.engine.on_commit(None)
        self._note(line)
        self.journal.write(self.con, line)

    def _replay(self, statement: Sql, line: Line, *, asks: bool = False) -> bool:
        """Run the statement as it stands, answered from the ledger; False where a call was missing."""
        current = Pass(Mode.REPLAY, self.run_id, line.tally, counts_hits=line.mode is None, asks=asks)
        line.tally.ahead |= asks
        with self.session.functions.passes.during(self.con, current):
            try:
                self._run_verbatim(statement, line)
            except duckdb.Error as error:
                self._rollback()
                if isinstance(current.error, Missing):
                    if current.counts_hits:
                        line.tally.hits = line.tally.failed_hits = 0  # the demand that follows counts them all
                    return False
                self._raise_stop(statement, current, error)
                raise sql_error(statement, error) from None
        return True

    def _blocking(self, statement: Sql, line: Line, why: str) -> None:
        """Run the statement with calls that are waited for, chunk by chunk."""
        line.mode, line.note = Mode.BLOCKING.value, f"blocking: {why}"
        counted = bool(line.tally.total or line.tally.hits)
        current = Pass(Mode.BLOCKING, self.run_id, line.tally, counts_hits=not counted)
        with self.session.functions.passes.during(self.con, current):
            try:
                self._run_verbatim(statement, line)
            except duckdb.Error as error:
                if not self._in_transaction:
                    self._rollback()
                self._raise_stop(statement, current, error)
                raise sql_error(statement, error) from None

    def _run_verbatim(self, statement: Sql, line: Line) -> None:
        if self._in_transaction or not is_transactional(statement):
            self.fetch(self.con, statement, line)
            self._done(line)
            return
        self.con.execute("BEGIN")
        try:
            self.fetch(self.con, statement, line)
            self._done(line)
            self.con.execute("COMMIT")
        except duckdb.TransactionException as error:
            if "single attached database" not in str(error) and "already modified database" not in str(error):
                raise
            # it writes another attached database: that cannot share a transaction with our row
            self._rollback()
            self.fetch(self.con, statement, line)
            self._done(line)

    def _explicit(self, statement: Sql, line: Line, verb: bool | None) -> None:
        """Inside the script's own BEGIN … COMMIT: rows of status live and die with it."""
        if verb is None:
            self._blocking(statement, line, "it stands inside an explicit transaction")
            return
        try:
            if verb:
                self.con.execute(statement.text)
                self._in_transaction, self._transaction = True, [line]
                self._done(line)
                return
            self._done(line)
            self.con.execute(statement.text)
        except duckdb.Error as error:
            raise sql_error(statement, error) from None
        self._in_transaction = False
        if self.aborted or not statement.tokens[0].is_word("COMMIT", "END"):
            self.aborted = False
            self.session.registry.load(self.con)
            for rolled_back in self._transaction:  # ROLLBACK took their rows back too
                self.journal.write(self.con, rolled_back)

    # -- pieces -------------------------------------------------------------------------------------------------------

    def _done(self, line: Line) -> None:
        self._note(line)
        line.state, line.finished_at = "done", now()
        self.journal.write(self.con, line)

    def _note(self, line: Line) -> None:
        parts = [line.note] if line.mode == Mode.BLOCKING.value and line.note else []
        if line.tally.truncated:
            parts.append(f"{line.tally.truncated} answers were cut at max_tokens")
        line.note = "; ".join(parts) or None

    def _progress(self, line: Line) -> Callable[[duckdb.DuckDBPyConnection], None]:
        """A hook that brings the status row up to date inside the ledger's own transactions, now and then."""
        last = [now()]

        def hook(cursor: duckdb.DuckDBPyConnection) -> None:
            moment = now()
            if (moment - last[0]).total_seconds() >= 0.5:
                last[0] = moment
                self.journal.write(cursor, line)

        return hook

    def _raise_stop(self, statement: Sql, current: Pass, error: duckdb.Error) -> None:
        """If it was ours that failed inside DuckDB, raise that instead of DuckDB's account of it."""
        if isinstance(error, duckdb.InterruptException):
            self._stopped(statement, Interrupted("interrupted"))
        if isinstance(current.error, DistilError):
            self._stopped(statement, current.error)

    def _stopped(self, statement: Sql, error: DistilError) -> None:
        """The engine stopped, or a row's call could not be made: settle what is in flight, then say where."""
        self._stop_overlap()  # first: it would ask on as soon as the engine has recovered
        self._rollback() if not self._in_transaction else None
        blamed = self.session.engine.blamed
        cause = self.session.engine.recover() or error
        at: Statement = statement
        if self._ahead is not None and blamed is self._ahead[1].tally:
            at, self.blamed = self._ahead
        self.session.engine.on_commit(None)
        if isinstance(cause, Interrupted):
            raise cause
        if isinstance(cause, OptionError):
            raise at.error(str(cause))
        raise type(cause)(f"{at.source.file}:{at.line}: {cause}")

    def _rollback(self) -> None:
        with contextlib.suppress(duckdb.Error):  # it may be over already
            self.con.execute("ROLLBACK")
