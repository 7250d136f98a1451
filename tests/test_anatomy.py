"""What a statement is made of: its inner SELECT, its target, its calls; cut out of the text, never regenerated."""

from __future__ import annotations

import pytest

from distil_sql.script import Source, Sql, read_script
from distil_sql.script.anatomy import (
    function_calls,
    inner_select,
    is_conditional,
    is_session,
    is_transactional,
    target,
    transaction_verb,
)


def read(text: str) -> Sql:
    (statement,) = read_script(Source(text))
    assert isinstance(statement, Sql)
    return statement


SELF = "itself"

INNER: list[tuple[str, str | None, str | None]] = [
    # CREATE TABLE … AS
    ("CREATE TABLE t AS SELECT f(x) FROM y", "SELECT f(x) FROM y", "t"),
    ("CREATE OR REPLACE TABLE s.t AS FROM y", "FROM y", "s.t"),
    ("CREATE TEMP TABLE IF NOT EXISTS a.\"b c\" AS (SELECT 1)", "(SELECT 1)", 'a."b c"'),
    ("CREATE TABLE t AS WITH c AS (SELECT 1) SELECT * FROM c", "WITH c AS (SELECT 1) SELECT * FROM c", "t"),
    ("CREATE TABLE t AS SELECT f(x) FROM y WITH DATA", "SELECT f(x) FROM y", "t"),
    ("CREATE TABLE t AS SELECT f(x) FROM y WITH NO DATA", None, "t"),
    ("CREATE TABLE t AS SELECT 'WITH NO DATA' AS data", "SELECT 'WITH NO DATA' AS data", "t"),
    ("CREATE TABLE t(a, b) AS SELECT f(1), 2", "SELECT f(1), 2", "t"),
    ("CREATE TABLE t (a INTEGER, b VARCHAR DEFAULT 'AS')", None, "t"),
    ("CREATE VIEW v AS SELECT f(x) FROM y", None, "v"),
    ("CREATE OR REPLACE MACRO m(x) AS f(x)", None, "m"),
    # INSERT
    ("INSERT INTO t SELECT f(x) FROM y", "SELECT f(x) FROM y", "t"),
    ("INSERT INTO t BY NAME SELECT 1 AS a", "SELECT 1 AS a", "t"),
    ("INSERT OR REPLACE INTO s.t VALUES (f('a'), 'x')", "VALUES (f('a'), 'x')", "s.t"),
    ("INSERT INTO t(a) (SELECT f(x) FROM y) RETURNING a", "(SELECT f(x) FROM y)", "t"),
    ("INSERT INTO t (a, b) SELECT f(x), 1 FROM y ON CONFLICT (a) DO UPDATE SET b = 2", "SELECT f(x), 1 FROM y", "t"),
    ("INSERT INTO t SELECT f(x) FROM y ON CONFLICT DO NOTHING RETURNING *", "SELECT f(x) FROM y", "t"),
    ("INSERT INTO t SELECT f(x) FROM y JOIN z ON y.i = z.i", "SELECT f(x) FROM y JOIN z ON y.i = z.i", "t"),
    ("INSERT INTO t FROM y", "FROM y", "t"),
    ("WITH c AS (SELECT 1 AS a) INSERT INTO t SELECT f(a) FROM c", "WITH c AS (SELECT 1 AS a) SELECT f(a) FROM c", "t"),
    ("INSERT INTO t WITH c AS (SELECT 1) SELECT * FROM c", "WITH c AS (SELECT 1) SELECT * FROM c", "t"),
    # COPY
    ("COPY (SELECT f(x) FROM y) TO 'a.parquet' (FORMAT parquet)", "SELECT f(x) FROM y", "'a.parquet'"),
    ("COPY (FROM (SELECT (f(x)) FROM y)) TO 'a.csv'", "FROM (SELECT (f(x)) FROM y)", "'a.csv'"),
    ("COPY t TO 'a.csv'", None, "'a.csv'"),
    ("COPY t FROM 'a.csv'", None, "t"),
    # UPDATE
    ("UPDATE t SET a = f(b), c = 1 WHERE d > 2", "SELECT f(b), 1 FROM t WHERE d > 2", "t"),
    ("UPDATE t SET a = f(y.b) FROM y WHERE y.id = t.id", "SELECT f(y.b) FROM t, y WHERE y.id = t.id", "t"),
    ("UPDATE t AS x SET a = f(b) RETURNING a", "SELECT f(b) FROM t AS x", "t"),
    ("UPDATE t SET a = (SELECT f(z) FROM q WHERE q.i = 1)", "SELECT (SELECT f(z) FROM q WHERE q.i = 1) FROM t", "t"),
    ("WITH c AS (SELECT 1) UPDATE t SET a = f(b)", "WITH c AS (SELECT 1) SELECT f(b) FROM t", "t"),
    ("UPDATE t SET (a, b) = (1, 2)", None, "t"),
    # queries
    ("SELECT f(a) FROM t", SELF, None),
    ("FROM t SELECT f(a)", SELF, None),
    ("(SELECT f(a) FROM t)", SELF, None),
    ("((SELECT 1) UNION ALL (SELECT f(x) FROM y)) ORDER BY 1", SELF, None),
    ("VALUES (f('x'))", SELF, None),
    ("PIVOT t ON a USING max(f(b))", SELF, None),
    ("WITH c AS (SELECT 1) SELECT f(a) FROM c", SELF, None),
    ("WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) FROM c", SELF, None),
    # what cannot be demanded beforehand
    ("DELETE FROM t WHERE f(a) = 'x'", None, "t"),
    ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET b = f(s.b)", None, "t"),
    ("EXPLAIN SELECT f(x)", None, None),
    ("CALL f()", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "inner", "aim"), INNER)
def test_the_inner_select_and_the_target_are_found(text: str, inner: str | None, aim: str | None) -> None:
    statement = read(text)
    assert inner_select(statement) == (text if inner == SELF else inner)
    assert target(statement) == aim


def test_comments_around_a_statement_stay_out_of_it_and_those_within_stay_in() -> None:
    statement = read("-- before\nCREATE TABLE t AS /* FROM x */ SELECT f(a) /* ) */ FROM t -- after")
    assert statement.text == "CREATE TABLE t AS /* FROM x */ SELECT f(a) /* ) */ FROM t"
    assert inner_select(statement) == "SELECT f(a) /* ) */ FROM t"


def test_statements_are_cut_at_semicolons_that_are_no_part_of_a_text() -> None:
    script = "SELECT ';'; ; SELECT $$;$$ -- ;\n; /* ; */ SELECT \";\" FROM t"
    assert [statement.text for statement in read_script(Source(script))] == [
        "SELECT ';'",
        "SELECT $$;$$",
        'SELECT ";" FROM t',
    ]


def test_statements_know_their_number_and_line() -> None:
    statements = read_script(Source("SELECT 1;\n\n-- two\nSELECT 2;\nSELECT\n3"))
    assert [(s.number, s.line) for s in statements] == [(1, 1), (2, 4), (3, 5)]


def test_calls_are_found_with_their_arguments() -> None:
    calls = list(function_calls(read("SELECT f(a, g(b, c), k := h(1), \"Model\" => 'm'), s.f(), x FROM t").tokens))
    assert [(c.name.text, c.positional, sorted(c.named), c.qualified) for c in calls] == [
        ("f", 2, ["k", "model"], False),
        ("g", 2, [], False),
        ("h", 1, [], False),
        ("f", 0, [], True),
    ]


@pytest.mark.parametrize(
    ("text", "transactional"),
    [
        ("CREATE TABLE t AS SELECT 1", True),
        ("WITH c AS (SELECT 1) INSERT INTO t FROM c", True),
        ("DROP TABLE t", True),
        ("ALTER TABLE t ADD COLUMN x INTEGER", True),
        ("SELECT 1", False),
        ("COPY t TO 'f.csv'", False),
        ("SET threads = 2", False),
        ("CREATE SECRET s (TYPE s3)", False),
        ("DROP PERSISTENT SECRET s", False),
        ("CREATE TABLE secret AS SELECT 1", True),
    ],
)
def test_what_writes_tables_can_share_a_transaction(text: str, transactional: bool) -> None:
    assert is_transactional(read(text)) is transactional


@pytest.mark.parametrize(
    ("text", "session"),
    [
        ("SET threads = 2", True),
        ("ATTACH 'x.db' AS x", True),
        ("CREATE TEMP TABLE t AS SELECT 1", True),
        ("CREATE OR REPLACE TEMPORARY VIEW v AS SELECT 1", True),
        ("CREATE TABLE temp AS SELECT 1", False),
        ("SELECT 1", False),
    ],
)
def test_what_ends_with_the_connection_is_known(text: str, session: bool) -> None:
    assert is_session(read(text)) is session


def test_what_may_have_nothing_to_do_is_known() -> None:
    assert is_conditional(read("CREATE TABLE IF NOT EXISTS t AS SELECT f(x) FROM y"))
    assert is_conditional(read("create temp table if not exists t as from y"))
    assert not is_conditional(read("CREATE TABLE t AS SELECT f(x) FROM y WHERE NOT EXISTS (FROM z)"))
    assert not is_conditional(read("DROP TABLE IF EXISTS t"))


def test_the_ends_of_transactions_are_told_from_other_words() -> None:
    assert transaction_verb(read("BEGIN TRANSACTION")) is True
    assert transaction_verb(read("commit")) is False
    assert transaction_verb(read("SELECT begin FROM t")) is None
