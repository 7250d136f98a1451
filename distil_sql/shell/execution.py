"""One statement at a time on the shell's own connection: `Statements(session).execute(statement, line, fetch, tick)`.

The work is the pipeline's executor's; here is what a session that goes on needs beside it: statements that call tasks
are entered in `distil.runs`, Ctrl-C stops the statement and not the shell, and an error leaves the connection usable.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb

from distil_sql.check import called_tasks, check_script
from distil_sql.errors import DistilError, Interrupted, RunError
from distil_sql.pipeline.execute import Executor, Fetch
from distil_sql.pipeline.faults import sql_error
from distil_sql.pipeline.overlay import script_connection
from distil_sql.quoting import text
from distil_sql.script import LoadTasks, Source, Sql, Statement
from distil_sql.script.anatomy import transaction_verb
from distil_sql.session import Session
from distil_sql.status import Journal, Line, RunState, now, remove_sidecar, write_sidecar

SCRIPT = "shell"
"""What `distil.runs.script` says of a statement that was typed."""

_TICK_S = 0.1
_SIDECAR_EVERY = 10  # ticks


class _Unwritten(Journal):
    """The journal of a statement that asks no model: there is nothing to tell of it."""

    def __init__(self, line: Line) -> None:
        super().__init__(RunState(str(uuid.uuid4()), SCRIPT, "running", [line], now()))

    def write(self, con: duckdb.DuckDBPyConnection, line: Line) -> None:
        return

    def finish(self, con: duckdb.DuckDBPyConnection, state: str, error: str | None = None) -> None:
        return


class Statements:
    """Executes statements for as long as the shell is open."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.con = script_connection(session, Source(""))
        self.lost_transaction = False
        self._recording = threading.Lock()
        self.tell()
        self._executor = Executor(session, self.con, _Unwritten(Line(1, "")))

    @property
    def in_transaction(self) -> bool:
        """Whether a BEGIN is open."""
        return self._executor.in_transaction

    @property
    def aborted(self) -> bool:
        """Whether the open transaction has failed: it can only be rolled back."""
        return self._executor.aborted

    def execute(self, statement: Statement, line: Line, fetch: Fetch, tick: Callable[[Line], None]) -> None:
        """Run one statement, `line` telling how it goes; `fetch` keeps its rows, `tick` is called while it runs.

        Raises ScriptError, RunError, ModelError, Interrupted, …; then the shell can go on with the next statement, and
        `lost_transaction` says whether the open transaction went with this one.
        """
        self.lost_transaction = False
        session = self.session
        self._executor.fetch = fetch
        failure = self._in_thread(lambda: self._run(statement, line), lambda: tick(line))
        if failure is None:
            return
        session.engine.recover()
        session.engine.on_commit(None)
        self.lost_transaction = self._executor.resume()
        raise self._as_distil(statement, failure)

    @contextlib.contextmanager
    def beside(self, folder: Path | None) -> Iterator[None]:
        """Meanwhile, find files beside a script as a pipeline does."""
        if folder is None or "," in str(folder):
            yield
            return
        before = self.con.execute("SELECT current_setting('file_search_path')").fetchall()[0][0]
        self.con.execute(f"SET file_search_path = {text(str(folder))}")
        try:
            yield
        finally:
            with contextlib.suppress(duckdb.Error):  # an aborted transaction
                self.con.execute(f"SET file_search_path = {text(before)}")

    def tell(self) -> None:
        """Tell other processes, which cannot open the file meanwhile, that the shell has it and waits."""
        write_sidecar(self.session.path, RunState(str(uuid.uuid4()), SCRIPT, "waiting", [], now()))

    def close(self) -> None:
        """Roll back what is open and let the connection go."""
        remove_sidecar(self.session.path)
        with contextlib.suppress(duckdb.Error):
            if self.in_transaction:
                self.con.execute("ROLLBACK")
        self.con.close()

    # -- in the worker ------------------------------------------------------------------------------------------------

    def _run(self, statement: Statement, line: Line) -> None:
        """Check, run, and enter in the journal a statement that calls tasks."""
        executor, session = self._executor, self.session
        ends_or_begins = isinstance(statement, Sql) and transaction_verb(statement) is not None
        # a check of LOAD TASKS tries it in a transaction of its own; where there is one, loading is the check
        if not ends_or_begins and not (isinstance(statement, LoadTasks) and executor.in_transaction):
            check_script([statement], session.registry, self.con)
        told = isinstance(statement, Sql) and called_tasks(statement, session.registry) and not executor.in_transaction
        journal = Journal.begin(self.con, SCRIPT, "", [line]) if told else _Unwritten(line)
        executor.journal, executor.run_id = journal, journal.state.run_id
        try:
            executor.execute(statement, line)
        except BaseException as error:
            self._enter_failure(journal, line, error)
            raise
        with self._recording:
            journal.finish(self.con, "done")

    def _enter_failure(self, journal: Journal, line: Line, error: BaseException) -> None:
        self.session.engine.recover()
        line.state = "interrupted" if isinstance(error, Interrupted | duckdb.InterruptException) else "failed"
        line.finished_at = now()
        if line.state == "failed":
            line.note = str(error)
        with self._recording, contextlib.suppress(duckdb.Error):  # the error itself is on its way
            journal.write(self.con, line)
            journal.finish(self.con, line.state, line.note if line.state == "failed" else None)

    # -- in the thread that hears Ctrl-C ------------------------------------------------------------------------------

    def _in_thread(self, work: Callable[[], None], tick: Callable[[], None]) -> BaseException | None:
        """Do the work in a thread of its own and tick meanwhile; gives the error that it ended with."""
        failures: list[BaseException] = []
        over = threading.Event()

        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)
            finally:
                over.set()

        threading.Thread(target=guarded, name="distil-shell", daemon=True).start()
        ticks = 0
        try:
            while not over.wait(_TICK_S):
                tick()
                ticks += 1
                state = self._executor.journal.state
                if ticks % _SIDECAR_EVERY == 0 and not isinstance(self._executor.journal, _Unwritten):
                    write_sidecar(self.session.path, state)
        except BaseException as error:
            self._stop(over)
            if not isinstance(error, KeyboardInterrupt):
                raise
        finally:
            if ticks >= _SIDECAR_EVERY:
                self.tell()
        return failures[0] if failures else None

    def _stop(self, over: threading.Event) -> None:
        """Stop the worker, its calls and the query it is in, and be ready for new calls. Nothing hurries it."""
        self.session.engine.interrupt()
        while not over.is_set():
            with contextlib.suppress(KeyboardInterrupt):
                if self._recording.acquire(blocking=False):  # how it ended is written to the end
                    self.con.interrupt()
                    self._recording.release()
                over.wait(_TICK_S)
        self.session.engine.recover()

    def _as_distil(self, statement: Statement, error: BaseException) -> BaseException:
        if isinstance(error, duckdb.InterruptException):
            return Interrupted("interrupted")
        if isinstance(error, duckdb.Error):
            return sql_error(statement, error)
        if isinstance(error, DistilError) or not isinstance(error, Exception):
            return error
        return RunError(f"the statement stopped on an unexpected error ({type(error).__name__}: {error})")
