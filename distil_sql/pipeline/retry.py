"""Ask failed calls again, straight from the ledger: `retry(session, where="error_kind = 'timeout'")`.

Only what failed is asked; the answer takes the failure's place under the same key, where the script, run again, finds
it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import duckdb

from distil_sql.engine import Call, Policy, Tally, keys_for, request_for
from distil_sql.errors import DistilError, Interrupted, OptionError
from distil_sql.models import check as check_model
from distil_sql.session import Session
from distil_sql.status import Journal, Line, RunState, now

_BATCH = 1000


@dataclass
class Retried:
    """How a retry went; `changed` are calls that the tasks and models of today would not make any more."""

    asked: int = 0
    answered: int = 0
    changed: int = 0


def retry(session: Session, where: str | None, on_progress: Callable[[RunState], None] | None = None) -> Retried:
    """Ask the failed calls that match again; raises OptionError where the condition does not bind, else as `run`."""
    con, reader = session.cursor(), session.cursor()
    line = Line(1, f"RETRY {where or ''}".strip(), "distil.calls", "running", "retry", started_at=now())
    _choose(reader, where)
    journal = Journal.begin(con, "retry", "", [line])
    done = Retried()
    session.engine.policy = Policy(max_error_ratio=1)  # they have failed before: many may again
    try:
        while rows := reader.fetchmany(_BATCH):  # as the ledger was: what is answered meanwhile is not seen here
            calls = [_call(session, row, journal.state.run_id, line.tally) for row in rows]
            asked = [call for call in calls if call is not None]
            done.asked += len(asked)
            done.changed += len(calls) - len(asked)
            session.engine.submit(asked)
        session.engine.drain(tick=lambda: on_progress(journal.state) if on_progress else None)
    except (DistilError, KeyboardInterrupt) as error:
        session.engine.interrupt()
        cause = session.engine.recover() or error
        stopped = isinstance(cause, Interrupted | KeyboardInterrupt)
        line.state = "interrupted" if stopped else "failed"
        _end(journal, con, line, None if stopped else str(cause))
        raise Interrupted("interrupted; what was answered is kept") if stopped else cause from None
    finally:
        reader.close()
    line.state = "done"
    _end(journal, con, line, None)
    done.answered = line.tally.done - line.tally.failed
    return done


def _choose(con: duckdb.DuckDBPyConnection, where: str | None) -> None:
    """Leave the failed calls as the connection's result, to be fetched."""
    condition = f" AND ({where}\n)" if where else ""
    query = "SELECT call_id::VARCHAR, task, model, sample, messages::VARCHAR FROM distil.calls WHERE status = 'error'"
    try:
        con.execute(query + condition)
    except duckdb.Error as error:
        reason = str(error).split("\n", 1)[0]
        raise OptionError(
            f"--where {where!r} cannot be used: {reason}; the columns are those of distil.calls"
        ) from None


def _call(session: Session, row: tuple[str, str, str, int, str], run_id: str, tally: Tally) -> Call | None:
    """The call of a ledger row, made anew; None where today's task or model would ask something else."""
    key, task_name, model_name, sample, messages = row
    try:
        task, spec = session.registry.task(task_name), session.registry.model(model_name)
    except OptionError:
        return None
    check_model(spec, embeds=task.embeds)
    request = request_for(task, spec, tuple(json.loads(messages)), sample)
    if keys_for(spec, request).key(messages, sample) != key:
        return None
    return Call(key, task, spec, request, messages, run_id, tally, None)


def _end(journal: Journal, con: duckdb.DuckDBPyConnection, line: Line, error: str | None) -> None:
    line.finished_at, line.note = now(), error
    journal.write(con, line)
    journal.finish(con, line.state, error)
    con.close()
