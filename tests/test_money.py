"""What a run may spend, what it would cost, and what models cost."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

import distil_sql
from distil_sql.engine.budget import BudgetReached
from distil_sql.errors import DistilError
from distil_sql.models.options import ModelSpec
from distil_sql.models.prices import known_price
from tests.command import distil
from tests.fake_server import FakeServer

SCRIPT = """
CREATE OR REPLACE MODEL generator (TYPE openai, model 'm', base_url '{url}', temperature 0, price_in 10, price_out 20,
    max_tokens 50{more});
CREATE OR REPLACE TABLE t AS SELECT i, text_generation('say ' || i) AS said FROM range({rows}) r(i);
"""


def _script(server: FakeServer, rows: int = 300, more: str = "") -> str:
    return SCRIPT.format(url=server.base_url, rows=rows, more=more)


@pytest.mark.parametrize(
    ("limit", "spent"),
    [
        ({"max_calls": 100}, "SELECT count(*) <= 100 AND count(*) >= 95"),
        ({"max_tokens_total": 900}, "SELECT sum(input_tokens + output_tokens) <= 900"),
        ({"max_cost": 0.01}, "SELECT sum(cost) <= 0.01 AND sum(cost) > 0.004"),
    ],
)
def test_a_run_stops_before_it_spends_more_than_it_may(
    limit: dict[str, float], spent: str, fake_server: FakeServer, tmp_path: Path
) -> None:
    fake_server.configure(latency={"fixed_ms": 5})
    database = tmp_path / "x.duckdb"
    with pytest.raises(BudgetReached, match="raise the limit and run again"):
        distil_sql.run(_script(fake_server), database, **limit)
    with duckdb.connect(str(database)) as con:
        assert con.execute(f"{spent} FROM distil.calls").fetchone() == (True,)
    answered = fake_server.stats()["answered"]
    distil_sql.run(_script(fake_server), database)
    assert fake_server.stats()["requests"] == 300, "what was paid for before the stop is not asked again"
    assert answered <= 300


def test_a_limit_that_is_not_reached_changes_nothing(fake_server: FakeServer, tmp_path: Path) -> None:
    state = distil_sql.run(_script(fake_server, 50), tmp_path / "x.duckdb", max_cost=100, max_calls=50)
    assert state.state == "done"


def test_the_command_line_says_how_to_go_on(fake_server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "p.sql").write_text(_script(fake_server))
    ended = distil("run", str(tmp_path / "p.sql"), "-d", str(tmp_path / "x.duckdb"), "--max-calls", "10")
    assert ended.returncode == 1
    assert "--max-calls 10" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_well_known_models_have_a_price_and_the_users_own_wins() -> None:
    listed = ModelSpec.read("g", {"type": "openai", "model": "gpt-4.1-mini"})
    assert listed.cost(1_000_000, 0, 0) == known_price("gpt-4.1-mini").input  # type: ignore[union-attr]
    assert known_price("gpt-4o-2024-08-06") == known_price("gpt-4o")
    assert known_price("gpt-4o-mini-2024-07-18") == known_price("gpt-4o-mini")
    own = ModelSpec.read("g", {"type": "openai", "model": "gpt-4.1-mini", "price_in": 1, "price_out": 2})
    assert own.cost(1_000_000, 1_000_000, 500_000) == 3
    cached = ModelSpec.read("g", {"type": "openai", "model": "x", "price_in": 1, "price_cached": 0.1, "price_out": 2})
    assert cached.cost(1_000_000, 0, 500_000) == pytest.approx(0.55)
    assert ModelSpec.read("g", {"type": "openai", "model": "nobody-knows"}).cost(1, 1, 1) is None
    elsewhere = {"type": "openai", "model": "gpt-4.1-mini", "base_url": "http://localhost:1/v1"}
    assert ModelSpec.read("g", elsewhere).cost(1, 1, 1) is None


CHAIN = """
CREATE OR REPLACE MODEL generator (TYPE openai, model 'm', base_url '{url}', seed 1, price_in 1, price_out 2, rpm 600);
CREATE OR REPLACE MODEL labeller (TYPE openai, model 'm', base_url '{url}');
CREATE OR REPLACE TABLE p AS SELECT i AS id, 'say ' || (i % 40) AS instruction FROM range(50) r(i);
CREATE OR REPLACE TABLE g AS SELECT id, unnest(text_generation_n(instruction, n := 2)) AS said FROM p;
CREATE OR REPLACE TABLE l AS SELECT id, judge('say it', said) AS verdict FROM g;
"""


def test_a_plan_counts_rows_calls_and_cost_and_makes_no_call(fake_server: FakeServer, tmp_path: Path) -> None:
    script, database = tmp_path / "p.sql", str(tmp_path / "x.duckdb")
    script.write_text(CHAIN.format(url=fake_server.base_url))
    planned = distil("plan", str(script), "-d", database, "--json")
    assert planned.returncode == 0, planned.stderr
    generations, labels = json.loads(planned.stdout)
    assert (generations["rows"], generations["calls"], generations["hits"]) == (100, 80, 0)
    assert (labels["rows"], labels["calls"]) == (100, 80)
    assert 0 < generations["cost"][0] <= generations["cost"][1]
    assert labels["cost"] is None
    assert generations["seconds"] >= 8, "80 calls at 600 a minute"
    assert fake_server.stats()["requests"] == 0
    assert not Path(database).exists()
    script.write_text(script.read_text().replace(", rpm 600", ""))  # which is no part of a call's key
    assert distil("run", str(script), "-d", database).returncode == 0
    after = json.loads(distil("plan", str(script), "-d", database, "--json").stdout)
    assert [line["calls"] for line in after] == [0, 0]
    assert after[0]["hits"] == 80


def test_a_call_that_is_rejected_and_goes_out_at_once_counts_once(fake_server: FakeServer, tmp_path: Path) -> None:
    fake_server.configure(faults=[{"kind": "429", "retry_after": 0, "attempts": 1}])
    database = tmp_path / "x.duckdb"
    more = "CREATE TABLE u AS SELECT text_generation('tell ' || i) FROM range(20) r(i);"
    with pytest.raises(BudgetReached):
        distil_sql.run(_script(fake_server, 4) + more, database, max_calls=10)
    with duckdb.connect(str(database)) as con:
        assert con.execute("SELECT count(*) FROM distil.calls").fetchone() == (10,)


def test_a_runs_limits_and_models_end_with_it(fake_server: FakeServer) -> None:
    con = distil_sql.connect()
    with pytest.raises(BudgetReached):
        distil_sql.run(_script(fake_server, 10), con, max_calls=5)
    distil_sql.run(f"CREATE MODEL other (TYPE openai, model 'o', base_url '{fake_server.base_url}')", con)
    distil_sql.run("SELECT 1;", con, generator="other")
    found = con.execute("SELECT text_generation_details('after').model").fetchone()
    assert found == ("generator",)


def test_a_plan_counts_calls_whose_details_are_read(fake_server: FakeServer, tmp_path: Path) -> None:
    script = tmp_path / "p.sql"
    script.write_text(_script(fake_server, 3).replace("text_generation(", "text_generation_details("))
    planned = distil("plan", str(script), "-d", str(tmp_path / "x.duckdb"), "--json")
    assert planned.returncode == 0, planned.stderr
    assert [line["calls"] for line in json.loads(planned.stdout)] == [3]


def test_a_limit_on_cost_needs_prices(fake_server: FakeServer, tmp_path: Path) -> None:
    script = _script(fake_server).replace("price_in 10, price_out 20,", "")
    with pytest.raises(DistilError, match="price of model 'generator'"):
        distil_sql.run(script, tmp_path / "x.duckdb", max_cost=1)
    assert fake_server.stats()["requests"] == 0


def test_two_scripts_do_not_run_at_once_on_one_database(fake_server: FakeServer, tmp_path: Path) -> None:
    fake_server.configure(latency={"fixed_ms": 50})
    con = distil_sql.connect(tmp_path / "x.duckdb")
    refused: list[str] = []

    def meanwhile(state: object) -> None:
        if not refused:
            with pytest.raises(DistilError) as caught:
                distil_sql.run("SELECT 1;", con)
            refused.append(str(caught.value))

    distil_sql.run(_script(fake_server, 40), con, on_progress=meanwhile)
    assert "another script is running" in refused[0]
