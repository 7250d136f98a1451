"""The tasks of a database for DuckDB shells elsewhere, over DuckDB's own client-server protocol (extension `quack`).

`with Server(session, "localhost", 9595, token) as server:` listens until the block ends. DuckDB answers on threads of
its own; behind the tasks are this session's engine, ledger and limits, so all clients share them.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import time
from collections.abc import Callable
from types import TracebackType

import duckdb

from distil_sql.engine import Tally
from distil_sql.errors import DatabaseError, Interrupted, OptionError
from distil_sql.quoting import text
from distil_sql.serve.extension import load_quack
from distil_sql.session import Session
from distil_sql.status import Line, RunState, now, remove_sidecar, write_sidecar

__all__ = ["Server"]

MIN_TOKEN = 8  # characters
_STOP_S = 3.0  # for queries of clients to end


class Server:
    """One listening address of a session's database. Port 0 is any that is free.

    `stopped_clean` says, after the end, whether every query of a client has ended; where one has not, this process
    must not end in the ordinary way (its threads would enter a Python that is gone).
    """

    def __init__(self, session: Session, host: str, port: int, token: str) -> None:
        """Raises OptionError for a token that is too short."""
        if len(token) < MIN_TOKEN:
            raise OptionError(f"a token needs {MIN_TOKEN} characters or more: leave it out, and one is made")
        self.session, self.host, self.token = session, host.strip("[]"), token
        self.port = port or _free_port(self.host)
        self.url = ""
        self.stopped_clean = True
        self.changed = False  # calls were committed since the sidecar was written
        self._con = session.cursor()
        self._state = RunState(session.run_id, "serve", "running", [], now())

    def __enter__(self) -> Server:
        """Start to listen. Raises OptionError for an address that cannot be, MissingExtra without the extension."""
        try:
            _check_free(self.host, self.port)
            load_quack(self._con)
            self._listen()
        except BaseException:
            self._con.close()
            raise
        line = Line(1, "serve", self.uri, "running", "blocking", started_at=now())
        self._state.lines.append(line)
        self.session.engine.on_commit(self._committed)
        write_sidecar(self.session.path, self._state)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Turn calls away, keep what lands within a second, stop listening."""
        session = self.session
        session.functions.shut()
        session.engine.fail(Interrupted("the server was stopped"))
        session.engine.recover()
        session.engine.on_commit(None)
        open_now, theirs = self._count("duckdb_connection_count()"), self._count("quack_active_connections()")
        self._con.execute(f"CALL quack_stop({text(self.uri)})")
        # queries under way still end and are answered; the connections of clients go with the last of them
        self.stopped_clean = _until(lambda: self._count("duckdb_connection_count()") <= open_now - theirs)
        self.report()
        remove_sidecar(session.path)
        self._con.close()

    @property
    def uri(self) -> str:
        """What it listens on, as DuckDB writes it."""
        return f"quack:{_in_uri(self.host)}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether this machine alone can reach it."""
        if self.host == "localhost":
            return True
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return False

    @property
    def tally(self) -> Tally:
        """The calls made through it, as of the last report."""
        return self._state.lines[0].tally

    def attach(self, token: str | None = None) -> str:
        """The statement by which a shell attaches it as `r`; `token` is an expression in place of the token itself."""
        host = socket.gethostname() if self.host in ("0.0.0.0", "::") else _in_uri(self.host)
        plain = "" if self.host in ("localhost", "127.0.0.1") or self.url.startswith("https") else ", DISABLE_SSL true"
        return f"ATTACH 'quack:{host}:{self.port}' AS r (TYPE quack, TOKEN {token or text(self.token)}{plain});"

    def report(self) -> None:
        """Count what was asked so far, for `tally` and for `distil-sql status` in another process."""
        self.changed = False
        (found,) = self._con.execute(
            """SELECT count(*), count(*) FILTER (status <> 'ok'), sum(input_tokens)::BIGINT, sum(output_tokens)::BIGINT,
                sum(cost) FROM distil.calls WHERE run_id = ?""",
            [self.session.run_id],
        ).fetchall()
        done, failed, tokens_in, tokens_out, cost = found
        tally = Tally(total=done, done=done, failed=failed, input_tokens=tokens_in or 0, output_tokens=tokens_out or 0)
        tally.cost, tally.priced = cost or 0.0, cost is not None
        self._state.lines[0].tally = tally
        write_sidecar(self.session.path, self._state)

    def _listen(self) -> None:
        call = f"CALL quack_serve({text(self.uri)}, token := {text(self.token)}, allow_other_hostname := true)"
        try:
            (found,) = self._con.execute(call).fetchall()
        except duckdb.Error as error:
            reason = str(error).split("\n", 1)[0].split(": ", 1)[-1]
            raise DatabaseError(f"DuckDB cannot serve on {self.host}:{self.port}: {reason}") from None
        self.url = found[1]

    def _committed(self, con: duckdb.DuckDBPyConnection) -> None:
        self.changed = True

    def _count(self, what: str) -> int:
        """A number that DuckDB gives, or how many rows it lists."""
        rows = self._con.execute(f"FROM {what}").fetchall()
        return int(rows[0][0]) if what.endswith("_count()") else len(rows)


def _in_uri(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _free_port(host: str) -> int:
    with _bound(host, 0) as listener:
        return int(listener.getsockname()[1])


def _check_free(host: str, port: int) -> None:
    """DuckDB would share a port with another server of this user's, and each would get some of the clients."""
    _bound(host, port).close()


def _bound(host: str, port: int) -> socket.socket:
    """A socket on this address; OptionError says why there is none."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        if listener is not None:
            listener.close()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise OptionError(f"{host!r} is no address of this machine: give one with --host") from None
        if error.errno == errno.EADDRINUSE:
            raise OptionError(f"port {port} on {host} is taken: give another with --port, 0 for any") from None
        raise OptionError(f"port {port} on {host} cannot be used: {error.strerror}") from None
    return listener


def _until(reached: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _STOP_S
    while not (done := reached()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return done
