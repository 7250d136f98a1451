"""Run a SQL script as a pipeline: `run(script, database="data.duckdb")`.

The run reads top to bottom in `_Run.work`: read and check the script, begin or resume the journal, execute each
statement (demand, drain, replay), finish. DuckDB works in a thread of its own, so that Ctrl-C is heard at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from distil_sql.check import check_script
from distil_sql.engine import Budget, Policy
from distil_sql.errors import DatabaseError, DistilError, Interrupted, OptionError
from distil_sql.library.loading import loaded_text
from distil_sql.pipeline.execute import Executor
from distil_sql.pipeline.folder import read_folder, statements_of
from distil_sql.pipeline.overlay import script_connection
from distil_sql.script import CreateModel, CreateTask, Drop, LoadTasks, Source, Sql, Statement
from distil_sql.script.anatomy import is_session, target, transaction_verb
from distil_sql.session import Session, database_error
from distil_sql.status import Journal, Line, RunState, done_before, now, remove_sidecar, write_sidecar

__all__ = ["RunOptions", "read_source", "run", "run_in"]

Progress = Callable[[RunState], None]
_TICK_S = 0.1
_HALT_S = 10.0
_SIDECAR_EVERY = 10  # ticks


@dataclass(frozen=True)
class RunOptions:
    """How to run: models in place of `generator`, `labeller`, `embedder`, what failed rows do, what it may spend.

    `max_cost` is in USD; the limits count this run alone, not what earlier ones spent.
    """

    generator: str | None = None
    labeller: str | None = None
    on_error: str = "null"
    max_error_ratio: float = 0.5
    restart: bool = False
    max_cost: float | None = None
    max_tokens_total: int | None = None
    max_calls: int | None = None
    overlap: bool = True
    embedder: str | None = None


def read_source(script: str | os.PathLike[str]) -> Source:
    """A script given as a path, of a file or a folder, or as SQL text (what holds white space and is no file)."""
    text = os.fspath(script)
    path = Path(text)
    if os.path.isdir(text):
        return read_folder(path)
    if isinstance(script, str) and ("\n" in text or ";" in text or (" " in text.strip() and not os.path.exists(text))):
        return Source(text)
    try:
        return Source(path.read_text(encoding="utf-8-sig"), text)
    except FileNotFoundError:
        raise OptionError(f"there is no script {text}") from None
    except UnicodeDecodeError:
        raise OptionError(f"{text} is not UTF-8 text") from None
    except OSError as error:
        raise OptionError(f"{text} cannot be read: {error.strerror}") from None


def run(
    script: str | os.PathLike[str],
    database: str | os.PathLike[str],
    options: RunOptions | None = None,
    on_progress: Progress | None = None,
) -> RunState:
    """Run a script on a database file; gives the run as it ended.

    Raises ScriptError, RunError, ModelError, DatabaseError or Interrupted; whatever was finished is kept, and the same
    call again resumes.
    """
    source = read_source(script)
    statements_of(source)  # before the database is created
    session = Session.open(database)
    try:
        return run_in(session, source, options, on_progress)
    finally:
        session.close()


def run_in(
    session: Session, source: Source, options: RunOptions | None = None, on_progress: Progress | None = None
) -> RunState:
    """Run a script in an open session, one at a time: a run's limits and models hold for all its calls."""
    if not session.running.acquire(blocking=False):
        raise OptionError(f"another script is running on {session.path} in this process: wait until it has ended")
    try:
        return _Run(session, source, options or RunOptions()).in_thread(on_progress)
    finally:
        session.running.release()


class _Run:
    """One run of one script."""

    def __init__(self, session: Session, source: Source, options: RunOptions) -> None:
        self.session, self.source, self.options = session, source, options
        self.journal: Journal | None = None
        self.error: BaseException | None = None
        self.finished = False
        self.over = threading.Event()  # not Thread.join: an interrupt inside it marks a living thread as ended
        self.recording = threading.Lock()
        self.con = script_connection(session, source)

    def in_thread(self, on_progress: Progress | None) -> RunState:
        """Work in a thread; report and listen for Ctrl-C in this one."""
        threading.Thread(target=self._guarded, name="distil-run", daemon=True).start()
        ticks = 0
        try:
            while not self.over.wait(_TICK_S):
                self._report(on_progress, ticks)
                ticks += 1
        except BaseException as error:
            self._halt()
            if not isinstance(error, KeyboardInterrupt):
                raise
        finally:
            remove_sidecar(self.session.path)
            self.con.close()
        if self.error is not None:
            if isinstance(self.error, duckdb.Error):
                raise database_error(self.session.path, self.error) from None
            raise self.error
        assert self.journal is not None
        if on_progress is not None:
            on_progress(self.journal.state)
        return self.journal.state

    def _halt(self) -> None:
        """Stop the worker: its calls, the query it is in, and the next one if it is between two."""
        self.session.engine.interrupt()
        deadline = time.monotonic() + _HALT_S
        while not self.over.wait(_TICK_S) and time.monotonic() < deadline:
            if self.recording.acquire(blocking=False):  # how it ended is written to the end
                self.con.interrupt()
                self.recording.release()
        self.error = self.error or (None if self.finished else Interrupted("interrupted"))

    def _report(self, on_progress: Progress | None, ticks: int) -> None:
        if self.journal is None:
            return
        if on_progress is not None:
            on_progress(self.journal.state)
        if ticks % _SIDECAR_EVERY == 0:
            write_sidecar(self.session.path, self.journal.state)

    def _guarded(self) -> None:
        try:
            self.work()
        except BaseException as error:
            self.error = error
        finally:
            self._let_go()
            self.over.set()

    def _let_go(self) -> None:
        """Whoever uses the session after the run is not held to what the run was told."""
        self.session.as_configured()

    def work(self) -> None:
        """The whole story."""
        session, con, options = self.session, self.con, self.options
        session.engine.policy = Policy(options.on_error, options.max_error_ratio)
        budget = Budget(options.max_cost, options.max_tokens_total, options.max_calls)
        session.engine.budget = budget if budget.limited else session.budget
        session.registry.overrides = session.overrides | _overrides(options)
        statements = statements_of(self.source)
        script_hash = _script_hash(self.source, statements, options)
        done = set() if options.restart else done_before(con, script_hash)
        skip = done - set(_session_statements(statements))
        check_script([statement for statement in statements if statement.number not in skip], session.registry, con)
        lines = [_line(statement) for statement in statements]
        self.journal = journal = Journal.begin(con, self.source.file, script_hash, lines, skip)
        alike = options.overlap and not _session_statements(statements)  # another connection would see the same
        executor = Executor(session, con, journal, partial(script_connection, session, self.source) if alike else None)
        pairs = list(zip(statements, journal.state.lines, strict=True))
        for (statement, line), following in zip(pairs, [*pairs[1:], None], strict=True):
            if line.state == "skipped":
                continue
            try:
                executor.execute(statement, line, following)
            except BaseException as error:
                self._stop(line, error, executor.blamed)
                raise
        try:
            executor.end(statements)
        except DistilError as error:
            self._stop(journal.state.lines[-1], error)
            raise
        journal.finish(con, "done")
        self.finished = True

    def _stop(self, line: Line, error: BaseException, blamed: Line | None = None) -> None:
        """Record how it ended; the error itself goes on its way even if that cannot be written.

        `blamed` is the statement after `line` where one of its calls, made ahead of its turn, stopped the run.
        """
        assert self.journal is not None
        stopped = isinstance(error, Interrupted)
        failed = blamed or line
        line.state = "interrupted" if stopped or failed is not line else "failed"
        line.finished_at = now()
        if not stopped:
            failed.state, failed.note, failed.finished_at = "failed", str(error), now()
        self.session.engine.recover()
        with self.recording:
            with contextlib.suppress(duckdb.Error):  # a transaction of the script's own
                self.con.execute("ROLLBACK")
                self.session.registry.load(self.con)
            try:
                self.journal.write(self.con, line)
                self.journal.write(self.con, failed)
                self.journal.finish(self.con, failed.state, None if stopped else str(error))
            except duckdb.Error as failed:
                if not isinstance(error, DistilError):
                    raise DatabaseError(f"{self.session.path}: {failed}") from None


def _line(statement: Statement) -> Line:
    aim = target(statement) if isinstance(statement, Sql) else None
    if isinstance(statement, CreateModel):
        aim = f"model {statement.name}"
    elif isinstance(statement, CreateTask):
        aim = f"task {statement.task.name}"
    elif isinstance(statement, Drop):
        aim = f"{statement.what} {statement.name}"
    elif isinstance(statement, LoadTasks):
        aim = f"tasks of {statement.what}"
    return Line(statement.number, statement.text, aim)


def _session_statements(statements: Sequence[Statement]) -> list[int]:
    """Numbers of the statements whose effect ended with the connection: settings, temporary tables, their rows."""
    temporary: set[str] = set()
    numbers = []
    for statement in statements:
        if not isinstance(statement, Sql) or transaction_verb(statement) is not None:
            continue  # a transaction is done as a whole, its BEGIN too
        aim = (target(statement) or "").lower()
        if is_session(statement):
            if statement.verb == "CREATE":
                temporary.add(aim)
            numbers.append(statement.number)
        elif aim in temporary:
            numbers.append(statement.number)
    return numbers


def _overrides(options: RunOptions) -> dict[str, str]:
    named = {"generator": options.generator, "labeller": options.labeller, "embedder": options.embedder}
    return {kind: name for kind, name in named.items() if name}


def _script_hash(source: Source, statements: Sequence[Statement], options: RunOptions) -> str:
    """What makes two runs the same run: the text, that of the tasks it loads, and the models it was told to use."""
    loaded = [loaded_text(statement) for statement in statements if isinstance(statement, LoadTasks)]
    parts = [source.text, options.generator or "", options.labeller or "", *loaded]
    parts += [f"embedder {options.embedder}"] if options.embedder else []
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
