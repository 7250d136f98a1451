"""Tasks on connections that the user opened: what `register` promises, and what may never happen to a process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import distil_sql
from distil_sql import sharing
from distil_sql.errors import DatabaseError, DistilError, OptionError
from distil_sql.session import Session
from tests.fake_server import FakeServer

SAY = "CREATE OR REPLACE GENERATOR TASK say(topic VARCHAR) PROMPT 'Say {{ topic }}'; "


def models(server: FakeServer, **options: object) -> str:
    given = "".join(f", {name} {value}" for name, value in options.items())
    return "".join(
        f"CREATE OR REPLACE MODEL {name} (TYPE openai, model 'm', base_url '{server.base_url}'{given}); "
        for name in ("generator", "labeller")
    )


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "x.duckdb"
    distil_sql.run(SAY, path)
    return path


@pytest.fixture
def path(_made: Path, tmp_path: Path) -> Path:
    """A file that has the library of tasks already: writing it takes a second."""
    return Path(shutil.copy(_made, tmp_path))


@pytest.fixture
def con(path: Path, fake_server: FakeServer) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of the user's, registered, with models and a task."""
    with duckdb.connect(str(path)) as con:
        distil_sql.run(models(fake_server), distil_sql.register(con))
        yield con


def asked(server: FakeServer) -> int:
    return int(server.stats()["requests"])


# -- what it does ------------------------------------------------------------------------------------------------------


def test_tasks_work_on_the_connection_its_cursors_and_every_other_one(path: Path, fake_server: FakeServer) -> None:
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE TABLE topics AS SELECT 'topic ' || i AS topic FROM range(5) t(i)")
        assert distil_sql.register(con) is con
        assert distil_sql.register(con) is con
        distil_sql.run(models(fake_server), con)
        query = "SELECT say(topic) FROM topics ORDER BY topic"
        rows = con.execute(query).fetchall()
        assert [row[0][:16] for row in rows] == [f"echo: Say topic {i}"[:16] for i in range(5)]
        with duckdb.connect(str(path)) as second, distil_sql.connect(path) as third:
            for other in (con.cursor(), second, distil_sql.register(second.cursor()), third):
                assert other.execute(query).fetchall() == rows
        assert con.execute(query).fetchall() == rows
        state = distil_sql.run("CREATE TABLE said AS SELECT say(topic) AS x FROM topics;", con)
        assert state.lines[0].tally.hits == 5
    assert asked(fake_server) == 5
    assert not [session for session in sharing._sessions.values() if session.path == str(path)]


def test_databases_in_memory_are_told_apart(fake_server: FakeServer) -> None:
    with duckdb.connect() as one, duckdb.connect() as other:
        distil_sql.run(models(fake_server) + SAY, distil_sql.register(one))
        assert distil_sql.register(other).execute("FROM distil.models").fetchall() == []
        assert sharing.session_of(one) is not sharing.session_of(other)
        assert sharing.session_of(one.cursor()) is sharing.session_of(one)


def test_options_hold_for_all_queries_until_they_are_given_anew(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    distil_sql.run(models(fake_server, price_in=1, price_out=1).replace("generator", "other"), con)
    distil_sql.register(con, generator="other", max_calls=3)
    assert con.execute("SELECT say_details('a').model").fetchall() == [("other",)]
    distil_sql.register(con)
    with pytest.raises(duckdb.Error, match="max-calls 3"):
        con.execute("SELECT say('b' || i) FROM range(10) t(i)")
    assert asked(fake_server) == 3
    assert distil_sql.run("SELECT say('b' || i) FROM range(10) t(i);", con, max_calls=20).state == "done"
    with pytest.raises(duckdb.Error, match="max-calls 3"):
        con.execute("SELECT say('c')")  # the script's limits were its own
    distil_sql.register(con, max_calls=100)
    assert con.execute("SELECT say('c')").fetchone() is not None


def test_failed_rows_fail_the_query_where_that_was_asked_for(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    distil_sql.run("CREATE LABELLER TASK rate(x VARCHAR) RETURNS INTEGER PROMPT '{{ x }}' WITH (reask 0);", con)
    fake_server.configure(faults=[{"kind": "empty_content"}])
    assert con.execute("SELECT rate('a')").fetchall() == [(None,)]
    distil_sql.register(con, on_error="fail")
    with pytest.raises(duckdb.Error, match="task 'rate' failed on a row"):
        con.execute("SELECT rate('b')")


@pytest.mark.parametrize(
    ("why", "match"),
    [
        ("closed", "this connection is closed"),
        ("transaction", "inside a transaction.*COMMIT or ROLLBACK"),
        ("read-only", "read-only: open it with duckdb.connect"),
        ("newer", "newer distil-sql"),
        ("string", "takes a DuckDB connection.*not str"),
        ("policy", "on_error is 'null' or 'fail'"),
    ],
)
def test_where_it_cannot_be_done_one_sentence_says_why(path: Path, why: str, match: str) -> None:
    if why == "newer":
        with duckdb.connect(str(path)) as con:
            con.execute("UPDATE distil.meta SET value = '9' WHERE key = 'schema_version'")
    with duckdb.connect(str(path), read_only=why == "read-only") as con:
        if why == "closed":
            con.close()
        elif why == "transaction":
            con.execute("BEGIN")
        with pytest.raises(DistilError, match=match) as raised:
            distil_sql.register(
                "x.duckdb" if why == "string" else con,  # type: ignore[arg-type]
                on_error="maybe" if why == "policy" else None,
            )
        assert isinstance(raised.value, DatabaseError if why in ("read-only", "newer") else OptionError)
        if why == "transaction":
            con.execute("COMMIT")
            distil_sql.register(con)
    duckdb.connect(str(path)).close()  # nothing holds the file


def test_a_connection_without_tasks_says_how_it_gets_them(path: Path) -> None:
    with duckdb.connect() as con:
        for use in (lambda: distil_sql.run("SELECT 1;", con), lambda: distil_sql.sql("SELECT 1", con)):
            with pytest.raises(OptionError, match=r"call distil_sql\.register\(con\)"):
                use()
    with pytest.raises(OptionError, match="this connection is closed"):
        distil_sql.run("SELECT 1;", con)
    with duckdb.connect(str(path), read_only=True), pytest.raises(DatabaseError, match=r"register\(con\)"):
        distil_sql.connect(path)


# -- what comes out ----------------------------------------------------------------------------------------------------

TYPED = """CREATE OR REPLACE LABELLER TASK rated(x VARCHAR) RETURNS STRUCT(score INTEGER, tags VARCHAR[])
PROMPT 'Rate {{ x }}'; CREATE OR REPLACE TABLE things AS SELECT i, 'thing ' || i AS x FROM range(4) t(i);"""


def test_values_keep_their_types_in_relations_arrow_and_frames(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    import pyarrow as pa

    distil_sql.run(TYPED, con)
    relation = con.sql("SELECT i, rated(x) AS r FROM things ORDER BY i")
    assert [str(kind) for kind in relation.types] == ["BIGINT", "STRUCT(score INTEGER, tags VARCHAR[])"]
    rows = relation.filter("i < 2").project("r.score AS score, r.tags AS tags").fetchall()
    assert all(isinstance(score, int) and isinstance(tags, list) for score, tags in rows)
    assert asked(fake_server) == 2  # what a filter drops is not asked for
    table = relation.to_arrow_table()
    assert table.schema.field("r").type == pa.struct([("score", pa.int32()), ("tags", pa.list_(pa.string()))])
    assert [row["score"] for row in table.column("r").to_pylist()[:2]] == [score for score, _ in rows]
    assert relation.aggregate("count(r.score)").fetchall() == [(4,)]
    assert asked(fake_server) == 4  # evaluated again and again, asked once
    pandas = pytest.importorskip("pandas")
    frame = con.sql("SELECT i, rated(x).score AS score FROM things ORDER BY i").df()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["score"].tolist() == [row["score"] for row in table.column("r").to_pylist()]
    assert asked(fake_server) == 4


def test_polars_gets_typed_values(con: duckdb.DuckDBPyConnection) -> None:
    polars = pytest.importorskip("polars")
    distil_sql.run(TYPED, con)
    frame = con.sql("SELECT rated(x) AS r FROM things").pl()
    assert frame.schema["r"] == polars.Struct({"score": polars.Int32, "tags": polars.List(polars.String)})


def test_a_query_made_ahead_reads_temporary_tables_and_the_callers_frames(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    import pyarrow as pa

    con.execute("CREATE TEMP TABLE mine AS SELECT i AS topic FROM range(2500) t(i)")
    frame = pa.table({"topic": ["x", "y"]})
    relation = distil_sql.sql("SELECT topic, say(say(topic::VARCHAR)) AS said FROM mine WHERE topic % 25 = 0", con)
    assert asked(fake_server) == 200  # before a row of it is read
    assert relation.aggregate("count(said)").fetchall() == [(100,)]
    assert asked(fake_server) == 200
    assert len(distil_sql.sql("SELECT say(topic) FROM frame", con).fetchall()) == frame.num_rows
    assert con.execute("SELECT current_setting('python_scan_all_frames')").fetchall() == [(False,)]
    for query in ("SELECT 1; SELECT 2", "CREATE TABLE x AS SELECT 1", "EXPLAIN SELECT 1", ""):
        with pytest.raises(OptionError, match="one SELECT"):
            distil_sql.sql(query, con)
    with pytest.raises(duckdb.CatalogException, match="nowhere"):
        distil_sql.sql("SELECT say('x') FROM nowhere", con)
    fake_server.configure(faults=[{"kind": "401"}])
    with pytest.raises(DistilError, match="model 'generator'"):
        distil_sql.sql("SELECT say('z')", con)


# -- what may not happen -----------------------------------------------------------------------------------------------

BEGIN = """
import gc, os, signal, subprocess, sys, threading, time
import duckdb, distil_sql
url, db = sys.argv[1:]
QUERY = "SELECT count(text_generation('n' || i)) FROM range({}) t(i)"
def opened(con=None):
    con = con or distil_sql.register(duckdb.connect(db))
    distil_sql.run(f"CREATE OR REPLACE MODEL generator (TYPE openai, model 'm', base_url '{url}', concurrency 8);", con)
    return con
def count(con, n=5):
    return con.execute(QUERY.format(n)).fetchall()[0][0]
def fails(with_, do, *given):
    try:
        do(*given)
    except Exception as error:
        assert with_ in str(error), error
        return
    raise AssertionError("nothing was raised")
"""


def process(code: str, path: Path, server: FakeServer) -> subprocess.Popen[str]:
    script = path.with_name("script.py")
    script.write_text(BEGIN + textwrap.dedent(code))
    command = [sys.executable, "-X", "faulthandler", str(script), server.base_url, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output(code: str, path: Path, server: FakeServer) -> str:
    """What a process prints that runs to its end."""
    running = process(code, path, server)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, f"{running.returncode}: {out}{err}"
    assert "Fatal" not in err
    return out


def test_no_connection_that_goes_takes_the_process_with_it(path: Path, fake_server: FakeServer) -> None:
    """DuckDB keeps a bare pointer to a Python function, and lets go of the function when its connection goes."""
    code = """
    look = "import duckdb, sys; print(duckdb.connect(sys.argv[1]).execute('FROM distil.calls').fetchall() != [])"
    con = opened()
    other, cursor, relation = duckdb.connect(db), con.cursor(), con.sql(QUERY.format(5))
    assert count(con) == count(other) == count(cursor) == 5
    con.close()
    fails("register(con)", count, other)                       # the functions are there still, and say so
    fails("closed", count, cursor)
    fails("closed", relation.fetchall)
    assert count(distil_sql.register(other)) == 5
    lone = distil_sql.register(other.cursor().cursor())
    del other; gc.collect()
    assert count(lone) == 5
    kept = lone.cursor()
    del lone, cursor, con; gc.collect()
    fails("register(con)", count, kept)
    kept.close()
    for _ in range(2):                                         # reopened in the same process, closed by the block
        with duckdb.connect(db) as con:
            assert count(distil_sql.register(con)) == 5
    with distil_sql.connect(db) as con:
        assert count(con) == 5
    print(subprocess.run([sys.executable, "-c", look, db], capture_output=True, text=True, check=True).stdout)
    relation = opened(distil_sql.connect()).sql(QUERY.format(3))
    gc.collect()
    assert relation.fetchall() == [(3,)]
    con = distil_sql.connect(db)                               # and left open at the end
    """
    assert output(code, path, fake_server).strip() == "True"


def test_what_is_closed_while_another_thread_opens_is_closed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    con = distil_sql.connect(path)
    session = sharing.session_of(con)
    opening, go_on, really = threading.Event(), threading.Event(), sharing._session_at

    def slowly(database: str) -> Session:
        opening.set()
        go_on.wait(30)
        return really(database)

    monkeypatch.setattr(sharing, "_session_at", slowly)
    thread = threading.Thread(target=lambda: distil_sql.connect(tmp_path / "other.duckdb").close())
    thread.start()
    opening.wait(30)
    con.close()
    assert not session.closed
    go_on.set()
    thread.join()
    assert session.closed


def test_threads_share_one_session(path: Path, fake_server: FakeServer) -> None:
    code = """
    con, counted = opened(), []
    def work(cursor):
        counted.append([count(cursor, 50) for _ in range(3)])
    threads = [threading.Thread(target=work, args=(con.cursor(),)) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    print(counted == [[50] * 3] * 6)
    """
    assert output(code, path, fake_server).strip() == "True"
    assert asked(fake_server) == 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_hears_one_sentence_and_ends_in_peace(path: Path, fake_server: FakeServer) -> None:
    code = """
    con = opened()
    assert count(con) == 5
    uses = {
        "nothing": lambda: None,
        "call": lambda: fails("before this process was forked", count, con),
        "run": lambda: fails("before this process was forked", distil_sql.run, "SELECT 1;", con),
        "connect": lambda: fails("before this process was forked", distil_sql.connect),
        "close": lambda: con.close(),
    }
    for name, use in uses.items():
        child = os.fork()
        if not child:
            use()
            sys.exit(7)                                        # an ordinary end, with finalizers and atexit
        limit = time.monotonic() + 20
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            assert time.monotonic() < limit, f"{name}: the child hangs"
            time.sleep(0.02)
        assert os.waitstatus_to_exitcode(ended[1]) == 7, (name, ended)
    print(count(con, 9))
    """
    assert output(code, path, fake_server).strip() == "9"


@pytest.mark.parametrize("daemon", [True, False])
def test_a_process_ends_with_calls_in_flight(path: Path, fake_server: FakeServer, daemon: bool) -> None:
    fake_server.configure(latency={"fixed_ms": 50})
    code = f"""
    con = opened()
    threading.Thread(target=lambda: fails("", count, con.cursor(), 5000), daemon={daemon}).start()
    while not con.cursor().execute("SELECT count(*) FROM distil.calls").fetchone()[0]:
        time.sleep(0.05)
    if not {daemon}:
        con.close()                                            # in the middle of a query, or the thread goes on
        print(duckdb.connect(db).execute("SELECT count(*) > 0 FROM distil.calls").fetchone())
    """
    printed = output(code, path, fake_server)
    assert daemon or printed.strip() == "(True,)"
    assert asked(fake_server) < 2000


def test_ctrl_c_stops_the_calls_of_a_query_that_waits(path: Path, fake_server: FakeServer) -> None:
    fake_server.configure(latency={"fixed_ms": 100})
    code = """
    con = opened()
    try:
        count(con, 2000)
    except BaseException as error:
        print(type(error).__name__)
    assert count(con) == 5                                     # and the connection can be used
    """
    running = process(code, path, fake_server)
    fake_server.wait_for(lambda stats: stats["answered"] >= 16, timeout_s=30)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    assert out.strip()
    assert asked(fake_server) < 300  # of 2,000, and the chunk would take 25 s
