"""`distil-sql serve`: DuckDB's own shell calls tasks in another process, whose limits, ledger and engine they share."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

import distil_sql
from distil_sql.errors import MissingExtra, OptionError
from distil_sql.serve import Server
from distil_sql.serve.extension import load_quack, wheel
from distil_sql.session import Session
from tests import official_shell
from tests.command import distil, model, query, start, value
from tests.fake_server import FakeServer

needs_quack = pytest.mark.skipif(
    wheel("quack") is None or wheel("httpfs") is None or official_shell.program() is None,
    reason="there is no shell, or no extension quack for this DuckDB",
)
ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOKEN = "a token of ours"


@dataclass
class Served:
    """A `distil-sql serve` that listens, and what it printed."""

    process: subprocess.Popen[str]
    said: str
    attach: str
    home: Path

    def ask(self, *queries: str) -> list[list[dict[str, object]]]:
        """The rows of each query, sent by the official shell."""
        return official_shell.ask(self.attach, *map(remote, queries), home=self.home)

    def refused(self, sql: str) -> str:
        """What the shell prints about a query that fails."""
        ended = official_shell.ended_with(self.attach, remote(sql), home=self.home)
        assert ended.returncode == 1, ended.stdout
        return ended.stderr

    def shell(self, sql: str) -> subprocess.Popen[str]:
        """A shell that is at work on a query."""
        return subprocess.Popen(
            official_shell.command(self.attach, remote(sql)),
            env=official_shell.environment(self.home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stop(self) -> str:
        """End it as a service manager does; gives its last words."""
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, err
        return err


def remote(sql: str) -> str:
    """A statement that is run by the server."""
    return "FROM r.query('" + sql.replace("'", "''") + "')"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home without extensions: serve puts them there, where the shell finds them."""
    return tmp_path_factory.mktemp("home")


@contextmanager
def serving(database: Path, home: Path, *options: str, **environment: str) -> Iterator[Served]:
    process = start("serve", database, "--port", "0", *options, HOME=str(home), **environment)
    assert process.stdout is not None
    said = ""
    while "FROM r.query" not in said:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        said += line
    attach = next(line.strip() for line in said.splitlines() if "ATTACH" in line)
    served = Served(process, said, attach, home)
    try:
        yield served
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, _fake_server_process: FakeServer) -> Path:
    path = tmp_path_factory.mktemp("template") / "data.duckdb"
    models = model(_fake_server_process) + model(_fake_server_process, "other")
    distil_sql.run(models + "CREATE TABLE t AS SELECT range AS id, 'text ' || range AS s FROM range(400)", path)
    return path


@pytest.fixture
def database(tmp_path: Path, template: Path, fake_server: FakeServer) -> Path:
    """Two models and 400 texts, in a file of its own."""
    return Path(shutil.copy(template, tmp_path))


@needs_quack
def test_the_shell_calls_tasks_and_the_calls_are_kept(database: Path, home: Path, fake_server: FakeServer) -> None:
    asked = "SELECT id, text_generation(s) AS answer FROM t WHERE id < 3 ORDER BY id"
    with serving(database, home) as served:
        rows, again, calls, kinds = served.ask(
            asked,
            asked,
            "SELECT task, model, status, count(*) AS n FROM distil.calls GROUP BY ALL",
            "SELECT [1.5]::FLOAT[1] AS v, {'a': [uuid()]} AS s, MAP {'k': 1} AS m, 'x'::ENUM('x') AS e, '1'::JSON j",
        )
        assert [row["id"] for row in rows] == [0, 1, 2]
        assert all(str(row["answer"]).startswith(f"echo: text {row['id']}") for row in rows)
        assert again == rows
        assert calls == [{"task": "text_generation", "model": "generator", "status": "ok", "n": 3}]
        assert list(kinds[0]) == ["v", "s", "m", "e", "j"]
        for _ in range(20):  # the file is held, but this is told, every second
            status = distil("status", "-d", database)
            if told := re.search(r"^serve  running\n.*\n.*\n1  quack:localhost:\d+  running  3 ", status.stdout):
                break
        assert told
        refused = served.refused("SELECT text_generation('x', model := 'nobody')")
        assert "OptionError: task 'text_generation' asks for model 'nobody', which does not exist" in refused
        ended = official_shell.ended_with(re.sub("TOKEN '.*'", "TOKEN 'not this one'", served.attach), home=home)
        assert ended.returncode == 1
        assert "Authentication failed" in ended.stderr
        assert "stopped: 3 calls, " in served.stop()
    assert fake_server.stats()["requests"] == 3
    assert value(database, "SELECT sum(calls) FROM distil.costs") == 3
    assert not list(database.parent.glob("data.duckdb?*"))  # no sidecar, and a log that was folded in


@needs_quack
def test_clients_share_the_budget_the_limits_and_the_answers(
    database: Path, home: Path, fake_server: FakeServer
) -> None:
    fake_server.configure(latency={"fixed_ms": 50})
    asked = "SELECT count(text_generation(s)) AS n FROM t"
    with serving(database, home, "--max-calls", "450", "--generator", "other") as served:
        shells = [served.shell(asked) for _ in range(3)]
        for shell in shells:
            out, err = shell.communicate(timeout=60)
            assert '"n":400' in out, err
        stats = fake_server.stats()
        assert (stats["requests"], stats["repeats"]) == (400, 0)
        refused = served.refused("SELECT count(text_generation(s || '!')) FROM t")
        assert "BudgetReached: stopped before spending more than --max-calls 450 allows (450 calls, " in refused
        assert served.ask(asked) == [[{"n": 400}]]  # what is in the ledger costs nothing
        served.stop()
    assert fake_server.stats()["requests"] == 450
    assert query(database, "SELECT DISTINCT model FROM distil.calls") == [("other",)]


@needs_quack
def test_a_stop_in_the_middle_keeps_what_is_finished_and_tells_the_clients(
    database: Path, home: Path, fake_server: FakeServer
) -> None:
    fake_server.configure(latency={"fixed_ms": 300})
    with serving(database, home) as served:
        shells = [served.shell(f"SELECT count(text_generation(s || {i})) FROM t") for i in range(2)]
        fake_server.wait_for(lambda stats: stats["answered"] > 20)
        said = served.stop()
        for shell in shells:
            _, err = shell.communicate(timeout=30)
            assert "Interrupted: the server was stopped" in err
    kept = value(database, "SELECT count(*) FROM distil.calls WHERE status = 'ok'")
    assert f"stopped: {kept} calls" in said
    stats = fake_server.stats()
    assert 20 < kept <= stats["answered"] < 800
    assert stats["answered"] - kept <= stats["max_in_flight"]
    assert not list(database.parent.glob("data.duckdb?*"))


@needs_quack
def test_a_query_that_does_not_end_holds_nobody_up(database: Path, home: Path, fake_server: FakeServer) -> None:
    os.mkfifo(database.with_name("pipe"))  # which nobody writes to
    with serving(database, home) as served:
        gone = served.shell("SELECT text_generation('x') || repeat('y', 1000) AS long FROM range(1000000)")
        assert gone.stdout is not None
        gone.stdout.read(1)
        gone.kill()  # and its rows are never fetched
        gone.communicate()
        stuck = served.shell(f"FROM read_csv('{database.with_name('pipe')}')")
        while len(served.ask("FROM quack_active_connections() WHERE query LIKE '%read_csv%'")[0]) < 2:
            pass  # it and this question itself
        said = served.stop()
        stuck.communicate(timeout=30)
    assert "a client's query was still running" in said
    assert value(database, "SELECT count(*) FROM distil.calls") == 1


@needs_quack
def test_other_machines_may_be_let_in_and_a_token_from_the_environment_is_not_repeated(
    database: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTIL_SQL_TOKEN", TOKEN)
    with serving(database, home, "--host", "0.0.0.0") as served:
        assert f"'quack:{socket.gethostname()}:" in served.attach
        assert "TOKEN getenv('DISTIL_SQL_TOKEN'), DISABLE_SSL true" in served.attach
        served.attach = served.attach.replace(socket.gethostname(), "127.0.0.1")
        assert served.ask("SELECT 1 AS one") == [[{"one": 1}]]
        err = served.stop()
    assert "Other machines can reach this" in err
    assert TOKEN not in served.said + err


@needs_quack
def test_the_readme_as_it_stands(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llama_cpp")
    monkeypatch.chdir(ROOT)  # where its examples are
    section = README.split("\n## DuckDB's own shell\n")[1].split("\n## ")[0]
    views, serve, typed = re.findall(r"```(?:sh)?\n(.*?)\n```", section, re.DOTALL)
    pipeline = next(block for block in re.findall(r"```sql\n(.*?)```", README, re.DOTALL) if "LIMIT 20" in block)
    path = tmp_path / "data.duckdb"
    distil_sql.run(pipeline.replace("LIMIT 20", "LIMIT 2"), path)
    for line in views.splitlines():
        program, file, *rest = shlex.split(line, comments=True)
        assert (program, file) == ("duckdb", "data.duckdb")
        ended = official_shell.ended_with(*[part for part in rest if part != "-c"], database=path, mode="-box")
        assert (ended.returncode, ended.stderr) == (0, ""), line
    (state,) = official_shell.ask("SELECT DISTINCT state FROM distil.status", database=path)
    assert state == [{"state": "done"}]
    query(path, "DELETE FROM distil.calls WHERE task = 'grade'")  # so that the model is asked
    program, verb, file, *options = shlex.split(serve.splitlines()[-1], comments=True)
    assert (program, verb, file) == ("distil-sql", "serve", "data.duckdb")
    attach, asked = typed.splitlines()
    with serving(path, home, *options) as served:
        assert re.sub("TOKEN '.*?'", "TOKEN '…'", re.sub(r":\d+'", ":9595'", served.attach)) == attach
        (labels,) = official_shell.ask(served.attach, asked, home=home)
        served.stop()
    assert len(labels) == 3
    assert value(path, "SELECT count(*) FROM distil.calls WHERE task = 'grade' AND status = 'ok'") > 0
    assert all(1 <= row["verdict"]["score"] <= 10 and row["verdict"]["reason"] for row in labels)


def test_what_cannot_be_is_said_in_one_sentence(database: Path, home: Path) -> None:
    with socket.socket() as taken, closing(Session.open(database)) as session:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for host, of, token, sentence in (
            ("localhost", port, TOKEN, f"port {port} on localhost is taken: give another with --port, 0 for any"),
            ("192.0.2.77", 9595, TOKEN, "'192.0.2.77' is no address of this machine: give one with --host"),
            ("localhost", 0, "short", "a token needs 8 characters or more: leave it out, and one is made"),
        ):
            with pytest.raises(OptionError, match=f"^{re.escape(sentence)}$"), Server(session, host, of, token):
                pass
    ended = distil("serve", database, "--token", "short", HOME=str(home))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "the token stands in the list of processes for others to read: set DISTIL_SQL_TOKEN instead\n"
        "error: a token needs 8 characters or more: leave it out, and one is made\n"
    )
    ended = distil("serve", database.with_name("nosuch"))
    assert ended.returncode == 2
    assert "there is no database" in ended.stderr


def test_a_duckdb_without_the_extension_is_told_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distil_sql.serve.extension.wheel", lambda extension: None)
    nowhere = {"extension_directory": str(tmp_path), "custom_extension_repository": str(tmp_path)}
    remedy = re.escape("pip install 'distil-sql[serve]'")
    with duckdb.connect(config=nowhere) as con, pytest.raises(MissingExtra, match=remedy) as raised:
        load_quack(con)
    assert f"DuckDB {duckdb.__version__} has no extension 'httpfs' here (" in str(raised.value)
    assert "\n" not in str(raised.value)
