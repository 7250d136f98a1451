"""What a pass over a statement's rows does where the ledger has no answer: ask and go on, refuse, or wait."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from distil_sql.engine import Call, Tally


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
