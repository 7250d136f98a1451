"""Runs and their statements as rows of `distil.runs` and `distil.status`, and as a file that others may read meanwhile.

`Journal` writes the rows; what a run is doing is also put into a sidecar file next to the database, because no other
process can open the database while the run holds it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import uuid
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from distil_sql.engine import Tally

SIDECAR_SUFFIX = ".status.json"


@dataclass
class Line:
    """One statement of a run, as a row of `distil.status`."""

    statement_no: int
    statement: str
    target: str | None = None
    state: str = "pending"
    mode: str | None = None
    note: str | None = None
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    result: tuple[list[str], list[tuple[object, ...]]] | None = None  # first rows of a statement that only reads
    tally: Tally = field(default_factory=Tally)


@dataclass
class RunState:
    """A run as a whole: what `distil-sql status` and the progress bar show."""

    run_id: str
    script: str
    state: str
    lines: list[Line]
    started_at: dt.datetime
    error: str | None = None

    @property
    def current(self) -> Line | None:
        """The statement that is running."""
        return next((line for line in self.lines if line.state == "running"), None)

    def as_dict(self) -> dict[str, object]:
        """The same as plain data, for the sidecar."""
        lines = [
            {
                "statement_no": line.statement_no,
                "statement": line.statement,
                "target": line.target,
                "state": line.state,
                "mode": line.mode,
                "note": line.note,
                "started_at": line.started_at,
                "finished_at": line.finished_at,
                **_counts(line.tally),
            }
            for line in self.lines
        ]
        about = {"run_id": self.run_id, "script": self.script, "state": self.state, "pid": os.getpid()}
        return {**about, "started_at": self.started_at, "written_at": now(), "statements": lines}


class Journal:
    """Writes one run's rows. Its methods join the transaction that the given connection is in."""

    def __init__(self, state: RunState) -> None:
        self.state = state

    @classmethod
    def begin(
        cls,
        con: duckdb.DuckDBPyConnection,
        script: str,
        script_hash: str,
        lines: Sequence[Line],
        skip: Container[int] = (),
        run_id: str | None = None,
    ) -> Journal:
        """Start a run whose statements in `skip` are done already; one transaction, so that a kill leaves it whole."""
        run_id = run_id or str(uuid.uuid4())
        con.execute("BEGIN")
        # whatever still says `running` was killed: nobody else can have this database open
        con.execute("UPDATE distil.runs SET state = 'interrupted', finished_at = ? WHERE state = 'running'", [now()])
        con.execute("UPDATE distil.status SET state = 'interrupted', finished_at = ? WHERE state = 'running'", [now()])
        for line in lines:
            if line.statement_no in skip:
                line.state = "skipped"
        state = RunState(run_id, script, "running", list(lines), now())
        con.execute(
            "INSERT INTO distil.runs VALUES (?, ?, ?, 'running', NULL, ?, NULL)",
            [run_id, script, script_hash, state.started_at],
        )
        journal = cls(state)
        for line in lines:
            journal.add(con, line)
        con.execute("COMMIT")
        return journal

    def add(self, con: duckdb.DuckDBPyConnection, line: Line) -> None:
        """A row for one more statement."""
        con.execute(
            "INSERT INTO distil.status (run_id, statement_no, statement, target, state) VALUES (?, ?, ?, ?, ?)",
            [self.state.run_id, line.statement_no, line.statement, line.target, line.state],
        )

    def write(self, con: duckdb.DuckDBPyConnection, line: Line) -> None:
        """Bring one statement's row up to date."""
        tally = line.tally
        con.execute(
            """UPDATE distil.status SET state = ?, mode = ?, note = ?, started_at = ?, finished_at = ?, calls_total = ?,
                calls_done = ?, calls_failed = ?, ledger_hits = ?, input_tokens = ?, output_tokens = ?, cost = ?
                WHERE run_id = ? AND statement_no = ?""",
            [
                line.state, line.mode, line.note, line.started_at, line.finished_at, tally.total,
                tally.done, tally.failed, tally.hits, tally.input_tokens, tally.output_tokens,
                tally.cost if tally.priced else None, self.state.run_id, line.statement_no,
            ],
        )  # fmt: skip

    def finish(self, con: duckdb.DuckDBPyConnection, state: str, error: str | None = None) -> None:
        """End the run's own row."""
        self.state.state, self.state.error = state, error
        con.execute(
            "UPDATE distil.runs SET state = ?, error = ?, finished_at = ? WHERE run_id = ?",
            [state, error, now(), self.state.run_id],
        )


def done_before(con: duckdb.DuckDBPyConnection, script_hash: str) -> set[int]:
    """Numbers of the statements that the last run of this script finished, if that run itself did not finish."""
    last = con.execute(
        "SELECT run_id::VARCHAR, state FROM distil.runs WHERE script_hash = ? ORDER BY started_at DESC LIMIT 1",
        [script_hash],
    ).fetchone()
    if last is None or last[1] == "done":
        return set()
    query = "SELECT statement_no FROM distil.status WHERE run_id = ? AND state IN ('done', 'skipped')"
    return {row[0] for row in con.execute(query, [last[0]]).fetchall()}


def sidecar_path(database: str) -> Path | None:
    """Where a run on this database tells others how it goes; None for one in memory."""
    return None if database == ":memory:" else Path(database + SIDECAR_SUFFIX)


def write_sidecar(database: str, state: RunState) -> None:
    """Replace the sidecar in one step. It is a courtesy: a folder that cannot be written stops nothing."""
    path = sidecar_path(database)
    if path is None:
        return
    part = path.with_name(path.name + ".part")
    with contextlib.suppress(OSError):
        part.write_text(json.dumps(state.as_dict(), default=str), encoding="utf-8")
        part.replace(path)


def remove_sidecar(database: str) -> None:
    """Take the sidecar away when the run has ended: the tables tell the rest."""
    path = sidecar_path(database)
    if path is not None:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            path.with_name(path.name + ".part").unlink(missing_ok=True)  # of a run that was killed in between


def now() -> dt.datetime:
    """The moment, in UTC and without a zone, as the tables keep it."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


def _counts(tally: Tally) -> dict[str, object]:
    return {
        "calls_total": tally.total,
        "calls_done": tally.done,
        "calls_failed": tally.failed,
        "ledger_hits": tally.hits,
        "input_tokens": tally.input_tokens,
        "output_tokens": tally.output_tokens,
        "cost": tally.cost if tally.priced else None,
    }
