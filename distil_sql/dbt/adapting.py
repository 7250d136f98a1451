"""What dbt-duckdb has no hook for: hearing of Ctrl-C, and telling of our errors without DuckDB's account of them.

`adapt()` wraps two of its methods, once a process; where a later dbt-duckdb has them no more, both are left out.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any

import duckdb
from dbt.adapters.duckdb.environments import local
from dbt_common.exceptions import DbtRuntimeError

from distil_sql import errors
from distil_sql.session import Session

sessions: weakref.WeakSet[Session] = weakref.WeakSet()
"""Those that dbt works on."""

_OURS = re.compile(r"while executing the UDF: (\w+): (.*?)\s*(\n\s*At:\n.*)?$", re.DOTALL)


def adapt() -> None:
    """Wrap what there is to wrap; nothing where that is done."""
    environment: Any = local.LocalEnvironment
    cursor: Any = getattr(local, "DuckDBCursorWrapper", None)
    if hasattr(environment, "cancel") and not hasattr(environment.cancel, "__wrapped__"):
        environment.cancel = staticmethod(_heard(environment.cancel))
    if hasattr(cursor, "execute") and not hasattr(cursor.execute, "__wrapped__"):
        cursor.execute = _told(cursor.execute)


def _heard(cancel: Callable[..., Any]) -> Callable[..., Any]:
    """dbt interrupts its connections and waits for their queries to end: the calls in flight have to hear of it."""

    @wraps(cancel)
    def wrapped(connection: Any) -> None:
        for session in list(sessions):
            session.engine.interrupt()
        cancel(connection)

    return wrapped


def _told(execute: Callable[..., Any]) -> Callable[..., Any]:
    """An error of ours comes out of DuckDB as a function's, out of 1.5 with all the lines of Python that it passed."""

    @wraps(execute)
    def wrapped(self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return execute(self, *arguments, **named)
        except duckdb.InvalidInputException as error:
            found = _OURS.search(str(error))
            kind = getattr(errors, found[1], None) if found else None
            if found and (kind is not None or found[1] == "BudgetReached"):
                raise DbtRuntimeError(in_profile(found[2])) from None
            raise

    return wrapped


def in_profile(sentence: str) -> str:
    """What is a flag on our command line is an option in a profile."""
    flags = r"--(max-cost|max-tokens-total|max-calls|max-error-ratio|max-model-memory)\b"
    return re.sub(flags, lambda flag: flag[1].replace("-", "_"), sentence)
