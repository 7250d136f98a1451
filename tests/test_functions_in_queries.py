"""Tasks as part of SQL: where they may stand, which model answers, and when an answer is asked for at all."""

from __future__ import annotations

import gc
import json

import duckdb
import pytest

import distil_sql
from distil_sql import sharing
from tests.fake_server import FakeServer
from tests.test_functions import column, con, define, one, scripted, shared

__all__ = ["con", "shared"]  # the fixtures

PLACES = [
    ("SELECT id FROM topics WHERE say(topic) LIKE '%topic 3%'", [3]),
    ("SELECT id FROM topics ORDER BY say(topic) DESC LIMIT 1", [5]),
    ("SELECT count(*) FROM topics GROUP BY say(topic)[:16]", [6]),
    ("SELECT count(DISTINCT say(topic)) FROM topics", [6]),
    ("SELECT id FROM topics QUALIFY row_number() OVER (ORDER BY say(topic) DESC) = 1", [5]),
    ("SELECT CASE WHEN id = 2 THEN say(topic)[11:17] END AS x FROM topics WHERE id = 2", ["topic 2"]),
    ("SELECT len([say(t) FOR t IN ['a', 'b']])", [2]),
    ("WITH c AS (SELECT say(topic) AS x FROM topics) SELECT count(x) FROM c", [6]),
    ("SELECT (SELECT count(say(topic)) FROM topics WHERE topics.id = o.id) FROM range(1) o(id)", [1]),
    ("SELECT a.id FROM topics a JOIN topics b ON say(a.topic) = say(b.topic) AND a.id = 4", [4]),
    ("SELECT count(say(topic)) FROM (FROM topics UNION ALL FROM topics)", [12]),
    ("SELECT x IS NOT NULL FROM (SELECT unnest(say_n(topic, n := 2)) AS x FROM topics LIMIT 1)", [True]),
]


@pytest.mark.parametrize(("query", "values"), PLACES)
def test_a_task_may_stand_wherever_a_function_may(
    con: duckdb.DuckDBPyConnection, query: str, values: list[object]
) -> None:
    assert column(con, query) == values


def test_a_task_may_stand_in_a_view_a_macro_an_update_and_a_prepared_statement(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE OR REPLACE VIEW said AS SELECT id, say(topic) AS x FROM topics")
    con.execute("CREATE OR REPLACE MACRO loud(t) AS upper(say(t))")
    con.execute("CREATE TEMP TABLE copy AS SELECT *, NULL::VARCHAR AS x FROM topics")
    con.execute("UPDATE copy SET x = say(topic) WHERE id < 2")
    assert column(con, "SELECT x[:17] FROM said WHERE id = 1") == ["echo: Say topic 1"]
    assert one(con, "SELECT loud('a')[:11]") == "ECHO: SAY A"
    assert one(con, "SELECT count(x) FROM copy") == 2
    assert str(con.execute("SELECT say(?)", ["b"]).fetchall()[0][0]).startswith("echo: Say b")


def test_a_task_may_be_nested_in_a_task(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    assert one(con, "SELECT say(say('a'))").startswith("echo: Say echo: Say a #")
    assert one(con, "SELECT grade(say('a')).score IS NOT NULL")
    assert fake_server.stats()["requests"] == 3


def test_duplicates_are_asked_once_and_never_again(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    query = "SELECT count(say('topic ' || (i % 3))) FROM range(300) r(i)"
    assert one(con, query) == 300
    assert one(con, query) == 300
    assert fake_server.stats()["requests"] == 3
    assert one(con, "SELECT count(*) FROM distil.calls") == 3


def test_rows_that_are_not_looked_at_are_not_asked(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    assert len(column(con, "SELECT say(topic) FROM topics LIMIT 2")) == 2
    assert column(con, "SELECT CASE WHEN id > 99 THEN say('never ' || id) END FROM topics") == [None] * 6
    assert column(con, "SELECT say('none') FROM topics WHERE id > 99") == []
    assert fake_server.stats()["requests"] <= 3  # the constant may be asked once


def asked_models(server: FakeServer, con: duckdb.DuckDBPyConnection) -> list[str]:
    return column(con, "SELECT DISTINCT model FROM distil.calls ORDER BY model")


def test_the_kind_of_a_task_says_which_model_answers(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    con.execute("SELECT say('a'), grade('a')")
    found = con.execute("SELECT task, model FROM distil.calls ORDER BY ALL").fetchall()
    assert found == [("grade", "labeller"), ("say", "generator")]


def test_the_task_the_run_and_the_call_each_override_the_model(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    url = fake_server.base_url
    for name in ("of_task", "of_run", "of_call"):
        define(con, f"CREATE MODEL {name} (TYPE openai, model '{name}', base_url '{url}', temperature 0)")
    define(con, "CREATE GENERATOR TASK t(x VARCHAR) PROMPT '{{ x }}' MODEL of_task")
    assert one(con, "SELECT t_details('a').model") == "of_task"
    distil_sql.run("SELECT t('a')", con, generator="of_run")
    distil_sql.run("SELECT t('a', model := 'of_call')", con, generator="of_run")
    models = column(con, "SELECT model FROM distil.calls ORDER BY created_at")
    assert models == ["of_task", "of_run", "of_call"]


def test_a_column_may_name_the_model(con: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT say_details('a', model := m).model FROM (VALUES ('labeller'), (NULL), ('GENERATOR')) t(m)"
    assert column(con, query) == ["labeller", "generator", "generator"]


def test_a_model_that_does_not_exist_fails_the_query_with_a_hint(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(
        duckdb.InvalidInputException, match="model 'labler', which does not exist; did you mean 'labeller'"
    ):
        con.execute("SELECT say('a', model := 'labler')")


def test_a_pool_deals_samples_over_its_models_always_the_same_way(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    define(con, "CREATE MODEL both (TYPE pool, models ['generator', labeller])")
    query = "SELECT [say_details(topic, sample := s, model := 'both').model FOR s IN [0, 1, 2]] FROM topics ORDER BY id"
    dealt = column(con, query)
    assert all(set(row) == {"generator", "labeller"} and row[0] == row[2] for row in dealt)
    assert len({row[0] for row in dealt}) == 2  # not every prompt starts with the same one
    requests = fake_server.stats()["requests"]
    assert column(con, query) == dealt
    assert fake_server.stats()["requests"] == requests


def test_parse_is_sql_over_the_response(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    define(
        con,
        "CREATE LABELLER TASK t(response VARCHAR) RETURNS INTEGER PROMPT '{{ response }}' "
        r"PARSE $$ CAST(regexp_extract(response, 'Score: (\d+)', 1) AS INTEGER) -- a comment $$ WITH (reask 0)",
    )
    scripted(fake_server, good="Score: 7", bad="Score: high")
    assert column(con, "SELECT t(x) FROM (VALUES ('good'), ('bad'), ('good 2')) t(x)") == [7, None, 7]
    found = one(con, "SELECT t_details('bad')")
    assert (found["response"], found["error_kind"]) == ("Score: high", "unparsable")


def test_an_edited_parse_asks_nothing_again(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    text = "CREATE OR REPLACE LABELLER TASK t(x VARCHAR) RETURNS {} PROMPT '{{{{ x }}}}' PARSE $$ {} $$ WITH (reask 0)"
    define(con, text.format("INTEGER", "response::INTEGER"))
    scripted(fake_server, good="7", bad="seven")
    query = "SELECT t(x) FROM (VALUES ('good'), ('bad')) t(x)"
    assert column(con, query) == [7, None]
    define(con, text.format("VARCHAR", "upper(response)"))
    assert column(con, query) == ["7", "SEVEN"]
    assert fake_server.stats()["requests"] == 2


def test_an_edited_prompt_asks_only_the_rows_whose_prompt_changed(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    text = "CREATE OR REPLACE GENERATOR TASK t(id INTEGER) PROMPT 'Number {{{{ id }}}}{}'"
    define(con, text.format(""))
    column(con, "SELECT t(id) FROM topics")
    define(con, text.format("{% if id > 3 %}, which is large{% endif %}"))
    values = column(con, "SELECT t(id) FROM topics ORDER BY id")
    assert ["large" in value for value in values] == [False] * 4 + [True] * 2
    assert fake_server.stats()["requests"] == 6 + 2


def test_a_reask_tells_the_model_what_was_wrong(con: duckdb.DuckDBPyConnection, fake_server: FakeServer) -> None:
    define(con, "CREATE LABELLER TASK t(x VARCHAR) RETURNS INTEGER PROMPT 'Rate {{ x }}' WITH (reask 2)")
    scripted(fake_server, **{"^Rate": "lots", "cannot be used": '{"value": 3}'})
    found = one(con, "SELECT t_details('a')")
    assert (found["value"], found["status"]) == (3, "ok")
    assert json.loads(found["prompt"])[-1]["content"] == "Rate a"
    complaints = [body["last_user"] for body in fake_server.bodies().values() if "cannot be used" in body["last_user"]]
    assert len(complaints) == 1
    assert 'the answer should be an integer, not "lots"' in complaints[0]
    assert one(con, "SELECT input_tokens FROM distil.calls") > 10  # both answers are paid for, and counted


@pytest.mark.parametrize(("reask", "requests"), [(0, 1), (2, 3)])
def test_reasks_end(con: duckdb.DuckDBPyConnection, fake_server: FakeServer, reask: int, requests: int) -> None:
    define(con, f"CREATE LABELLER TASK t(x VARCHAR) RETURNS INTEGER PROMPT '{{{{ x }}}}' WITH (reask {reask})")
    fake_server.configure(scripts=[{"replies": ["lots"]}])
    assert one(con, "SELECT t('a')") is None
    assert fake_server.stats()["requests"] == requests


def test_two_connections_share_models_tasks_and_answers(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    other = con.cursor()
    assert one(other, "SELECT say('a')") == one(con, "SELECT say('a')")
    assert fake_server.stats()["requests"] == 1


def test_a_script_asks_nothing_for_a_table_that_needs_no_rows(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    con.execute("CREATE OR REPLACE TABLE there AS SELECT 1 AS i")
    state = distil_sql.run(
        "CREATE TABLE IF NOT EXISTS there AS SELECT say(topic) FROM topics;"
        "CREATE OR REPLACE TABLE empty AS SELECT say(topic) AS x FROM topics WITH NO DATA;"
        "CREATE OR REPLACE VIEW seen AS SELECT say(topic) AS x FROM topics;",
        con,
    )
    assert fake_server.stats()["requests"] == 0
    assert [(line.state, line.mode, line.note) for line in state.lines] == [("done", None, None)] * 3
    assert con.execute("SELECT (SELECT count(*) FROM there), (SELECT count(*) FROM empty)").fetchall() == [(1, 0)]


def test_a_connection_may_be_collected_while_another_is_opened() -> None:
    """Its finalizer runs where the lock of the sessions is held."""
    cycle: list[object] = [distil_sql.connect()]
    cycle.append(cycle)
    gc.disable()
    try:
        del cycle
        with sharing._lock:
            gc.collect()
    finally:
        gc.enable()
    waiting = len(sharing._sessions)
    kept = distil_sql.connect()
    assert len(sharing._sessions) == waiting  # one more, and one less
    del kept


def test_a_task_around_a_list_is_asked_when_all_of_the_list_is_there(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer
) -> None:
    define(con, "CREATE LABELLER TASK best(texts VARCHAR[]) PROMPT 'Best of {{ texts }}'")
    distil_sql.run("CREATE OR REPLACE TABLE chosen AS SELECT best(say_n(topic, n := 2)) AS x FROM topics", con)
    assert fake_server.stats()["requests"] == 6 * 3


def test_a_key_that_was_missing_may_be_set_and_the_query_run_again(
    con: duckdb.DuckDBPyConnection, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(
        con, f"CREATE MODEL keyed (TYPE openai, model 'm', base_url '{fake_server.base_url}', api_key_env 'ANY_KEY')"
    )
    monkeypatch.delenv("ANY_KEY", raising=False)
    with pytest.raises(duckdb.Error, match="ANY_KEY"):
        con.execute("SELECT say('a', model := 'keyed')")
    monkeypatch.setenv("ANY_KEY", "k")
    assert one(con, "SELECT say('a', model := 'keyed')").startswith("echo: Say a #")


def test_a_parse_may_read_arguments_that_python_cannot_give_back(con: duckdb.DuckDBPyConnection) -> None:
    define(
        con,
        "CREATE GENERATOR TASK keyed(m MAP(VARCHAR, INTEGER), h HUGEINT) PROMPT 'Any' "
        "PARSE $$m['a']::VARCHAR || ' ' || h || ' ' || response[:4]$$",
    )
    largest = 2**127 - 1
    assert one(con, f"SELECT keyed(MAP {{'a': 3}}, {largest}::HUGEINT)") == f"3 {largest} echo"
