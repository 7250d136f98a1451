"""The plugin itself: registers the tasks on dbt's database, and asks for a model's calls when its macros say so."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.events.logging import AdapterLogger
from dbt_common.exceptions import DbtRuntimeError
from dbt_common.invocation import get_invocation_id

from distil_sql import models
from distil_sql.api import register
from distil_sql.dbt.adapting import adapt, in_profile, sessions
from distil_sql.dbt.asking import ask, said
from distil_sql.dbt.config import Config
from distil_sql.dbt.definitions import Definition, apply_definitions, read_definitions
from distil_sql.dbt.documents import keep
from distil_sql.dbt.recording import Record
from distil_sql.engine import Budget, Policy
from distil_sql.errors import DistilError
from distil_sql.quoting import text
from distil_sql.session import Session, open_database
from distil_sql.sharing import session_of

_log = AdapterLogger("distil-sql")


class Plugin(BasePlugin):  # type: ignore[misc]
    """What dbt-duckdb calls. Every error of ours leaves as dbt's own, in one sentence."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Check the profile and read its files, before any database is opened."""
        self._starting = threading.Lock()
        self._begun: tuple[str, Session | None] = ("", None)
        self._budget = Budget()
        self._session: Session | None = None
        self._record: Record | None = None
        with _as_dbt():
            self._config = Config.read(plugin_config, (self.creds.settings or {}) if self.creds else {})
            self._definitions: list[Definition] = read_definitions(self._config.files, self._config.limits)
            if self._config.docs and keep(self._config.docs, self._definitions):
                _log.info(f"distil-sql: wrote {self._config.docs}")
        adapt()
        atexit.register(self._end)  # before the database is closed, which was registered earlier

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Make a new file such that DuckDB 1.5 and its shell can read it."""
        path = str(creds.path)
        if path != ":memory:" and "storage_compatibility_version" not in config and not Path(path).exists():
            with _as_dbt():
                open_database(path).close()

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Register once, on the connection that dbt keeps, and bring models and tasks up to date."""
        with _as_dbt():
            models.max_model_memory = self._config.max_model_memory or models.max_model_memory
            register(conn)
            self._session = session_of(conn)
            sessions.add(self._session)
            apply_definitions(self._session, self._definitions)
            self._begin()

    def configure_cursor(self, cursor: Any) -> None:
        """Each connection of dbt's comes by here: the first of an invocation starts its budget."""
        self._begin()

    def store(self, target_config: Any) -> None:
        """Ask for a model's calls. (`adapter.store_relation` is how a macro reaches a plugin.)"""
        model, queries = target_config.config["name"], list(target_config.config["queries"])
        assert self._session is not None
        assert self._record is not None
        with _as_dbt(), self._record.line(model, queries[-1]) as line:
            ask(self._session, line, self._connect, queries, self._record.tick)
        _log.info(f"distil-sql: {model}: {said(line)}")

    def _connect(self) -> duckdb.DuckDBPyConnection:
        """A connection set as dbt's own are."""
        assert self._session is not None
        con = self._session.cursor()
        con.execute("SET python_enable_replacements = false")
        for setting, value in (self.creds.settings or {}).items() if self.creds else ():
            con.execute(f"SET {setting} = {text(str(value))}")
        return con

    def _end(self) -> None:
        if self._record is not None:
            self._record.end()

    def _begin(self) -> None:
        """What a profile allows, it allows each invocation of dbt; one process may see several."""
        with self._starting:
            session, config = self._session, self._config
            begun = (get_invocation_id(), session)
            if session is None or self._begun == begun:
                return
            if self._begun[0] != begun[0]:
                self._budget = Budget(config.max_cost, config.max_tokens_total, config.max_calls)
            self._begun = begun
            self._end()
            session.engine.recover()
            session.anew()
            session.configure(Policy(config.on_error, config.max_error_ratio), self._budget, config.overrides)
            self._record = Record(session)


@contextmanager
def _as_dbt() -> Iterator[None]:
    """Our errors as one of dbt's, which it prints without a traceback."""
    try:
        yield
    except DistilError as error:
        raise DbtRuntimeError(in_profile(str(error))) from None
