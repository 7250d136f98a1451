"""What a pass over a statement's rows does where the ledger has no answer: ask and go on, refuse, or wait."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum

import duckdb

from distil_sql.engine import Call, Tally

PASS_VARIABLE = "distil_pass"
"""The connection's variable that tells the functions which pass a call belongs to."""


_ROWS_A_BATCH = 2048


def evaluated(con: duckdb.DuckDBPyConnection, query: str) -> Iterator[int]:
    """Run a query for what its functions do, its rows thrown away; gives how many there were, batch by batch."""
    for batch in con.sql(query).to_arrow_reader(_ROWS_A_BATCH):
        yield batch.num_rows


class Mode(Enum):
    """DEMAND asks and answers NULL at once; REPLAY refuses; BLOCKING asks and waits; PLAN counts and pretends."""

    DEMAND = "demand"
    REPLAY = "replay"
    BLOCKING = "blocking"
    PLAN = "plan"


class Missing(Exception):
    """A replay met a call that the ledger does not hold: not an error, but the end of that attempt."""


@dataclass
class Pass:
    """One pass; its token travels in the connection's variable `distil_pass`."""

    mode: Mode
    run_id: str
    tally: Tally = field(default_factory=Tally)
    counts_hits: bool = True
    asks: bool = False  # a REPLAY that asks for the calls it misses before it gives up: a demand will follow
    error: BaseException | None = None
    keys: list[str] | None = None  # a list collects the keys of every call the pass needs
    plan: Callable[[Call], str] | None = None  # PLAN: is told of each call that a run would make, gives a stand-in
    token: str = field(default_factory=lambda: uuid.uuid4().hex)


class Passes:
    """The passes under way, by token."""

    def __init__(self) -> None:
        self._by_token: dict[str, Pass] = {}

    def get(self, token: str | None, default: Pass) -> Pass:
        """The pass of a token; the default for a connection that names none."""
        return self._by_token.get(token, default) if token else default

    @contextmanager
    def during(self, con: duckdb.DuckDBPyConnection, current: Pass) -> Iterator[Pass]:
        """Whatever the connection calls meanwhile belongs to this pass."""
        self._by_token[current.token] = current
        try:
            con.execute(f"SET VARIABLE {PASS_VARIABLE} = '{current.token}'")
            yield current
        finally:
            del self._by_token[current.token]
            with suppress(duckdb.Error):  # the connection may be closing, and the variable with it
                con.execute(f"RESET VARIABLE {PASS_VARIABLE}")
