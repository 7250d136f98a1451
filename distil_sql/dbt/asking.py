"""Ask for everything that a model of dbt's is about to need, before dbt makes it: demand and drain.

dbt then makes its table as it does any other, every call answered from the ledger. What could not be asked for
beforehand is asked for and waited for then, so that a mistake here costs time, never correctness.
"""

from __future__ import annotations

from collections.abc import Callable

import duckdb

from distil_sql.errors import DistilError
from distil_sql.pipeline.execute import MAX_PASSES
from distil_sql.registry import Registry
from distil_sql.script import Source, read_script
from distil_sql.script.anatomy import function_calls
from distil_sql.session import Session
from distil_sql.status import Line
from distil_sql.udf.passes import Mode, Pass, evaluated


def ask(
    session: Session,
    line: Line,
    connect: Callable[[], duckdb.DuckDBPyConnection],
    queries: list[str],
    tick: Callable[[], None] | None = None,
) -> None:
    """Run the last query until its calls are known, waiting for them in between; those before it set the stage.

    `line` tells how it goes; its note says why the rest has to wait for its turn, if any has. `connect` gives a
    connection that sees what dbt's own would. Raises what stopped the engine.
    """
    tally, before, least = line.tally, 0, 0
    deep = _calls(queries[-1], session.registry) != 1  # one call waits for no other's answer
    try:
        for attempt in range(MAX_PASSES):
            current = Pass(Mode.DEMAND, session.run_id, tally, counts_hits=not attempt)
            if note := _demand(session, current, connect, queries):
                line.note = note
                break
            session.engine.drain(tally, tick)
            before, new = tally.total, tally.total - before
            if not new or not deep:
                break
            if attempt >= 2 and new >= least:
                line.note = "its prompts differ each time it is run"
                break
            least = new
    except DistilError as error:
        raise session.engine.recover() or error from None


def said(line: Line) -> str:
    """How it went, in one line of dbt's log."""
    tally = line.tally
    parts = [f"{tally.total:,} calls", f"{tally.hits:,} from the ledger"]
    if tally.total:
        parts.append(f"{tally.input_tokens + tally.output_tokens:,} tokens")
    if tally.priced:
        parts.append(f"${tally.cost:,.4f}")
    if tally.failed or tally.failed_hits:
        parts.append(f"{tally.failed + tally.failed_hits:,} failed and NULL (see distil.calls)")
    if tally.truncated:
        parts.append(f"{tally.truncated:,} cut at max_tokens")
    if line.note:
        parts.append(line.note)
    return ", ".join(parts)


def _calls(query: str, registry: Registry) -> int:
    """How many times the query's text calls a task (views and macros may hide more)."""
    statements = read_script(Source(query))
    found = (registry.function_task(call.name.name) for item in statements for call in function_calls(item.tokens))
    return sum(suffix != "_prompt" for _, suffix in filter(None, found))


def _demand(
    session: Session, current: Pass, connect: Callable[[], duckdb.DuckDBPyConnection], queries: list[str]
) -> str | None:
    """Ask for every call that the rows need; else why that cannot be done beforehand."""
    *stage, query = queries
    with connect() as con:
        try:
            for statement in stage:
                con.execute(statement)
            with session.functions.passes.during(con, current):
                for rows in evaluated(con, query):
                    current.tally.rows += rows if current.counts_hits else 0
        except duckdb.Error as error:
            if isinstance(current.error, DistilError):
                raise current.error from None
            return f"not asked beforehand ({' '.join(str(error).split(chr(10))[0].split())})"
    return None
