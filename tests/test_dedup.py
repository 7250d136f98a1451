"""Duplicates go, and nothing else; quality filters judge texts of any script alike."""

from __future__ import annotations

import random
import time

import duckdb
import pytest

from tests.macros import with_macros


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return with_macros("duplicates", "quality")


def _texts(con: duckdb.DuckDBPyConnection, texts: list[str | None]) -> None:
    con.execute("CREATE OR REPLACE TABLE docs AS SELECT unnest(range(len($1))) AS id, unnest($1) AS text", [texts])


def _ids(con: duckdb.DuckDBPyConnection, query: str) -> list[int]:
    return [row[0] for row in con.execute(query).fetchall()]


def test_exact_duplicates_differ_in_case_and_spacing_at_most(con: duckdb.DuckDBPyConnection) -> None:
    _texts(con, ["Hello  world", "hello world ", "hello, world", None, None, "HELLO\tWORLD", "Ünder", "u\u0308nder"])
    assert _ids(con, "SELECT id FROM drop_duplicates(docs, text)") == [0, 2, 3, 4, 6]
    assert con.execute("FROM drop_duplicates(docs, text)").description[1][0] == "text"


LATIN = (
    "the quick brown fox jumps over the lazy dog and runs away",
    "the quick brown fox jumps over the lazy dog and ran away",
    "a completely different sentence about cooking rice at home",
)
CHINESE = (
    "今天天气很好我们去公园散步然后在湖边喝茶聊天吧",
    "今天天气很好我们去公园散步然后在湖边喝茶聊天",
    "机器学习模型需要大量的数据来训练才能得到好的结果",
)
HINDI = (
    "आज मौसम बहुत अच्छा है और हम बगीचे में घूमने जा रहे हैं",
    "आज मौसम बहुत अच्छा है और हम बगीचे में घूमने जा रहे",
    "यह एक बिल्कुल अलग वाक्य है जो खाना पकाने के बारे में है",
)


@pytest.mark.parametrize(("base", "near", "far"), [LATIN, CHINESE, HINDI])
def test_near_duplicates_go_in_any_script(base: str, near: str, far: str, con: duckdb.DuckDBPyConnection) -> None:
    _texts(con, [base, far, near, None, base.upper()])
    assert _ids(con, "SELECT id FROM drop_near_duplicates(docs, text, threshold := 0.7, size := 3)") == [0, 1, 3]
    pairs = con.execute(
        "SELECT id_a, id_b FROM near_duplicates(docs, id, text, threshold := 0.7, size := 3)"
    ).fetchall()
    assert (0, 2) in pairs
    assert all(1 not in pair for pair in pairs)


def test_similarity_is_jaccards(con: duckdb.DuckDBPyConnection) -> None:
    def pieces(text: str) -> set[str]:
        return {text[i : i + 5] for i in range(len(text) - 4)}

    a, b = "abcdefghij klmno", "abcdefghij xlmno"
    expected = len(pieces(a) & pieces(b)) / len(pieces(a) | pieces(b))
    assert con.execute("SELECT text_similarity(?, ?)", [a, b]).fetchone() == (pytest.approx(expected),)
    assert con.execute("SELECT text_similarity('ab', 'AB'), text_similarity('ab', 'abc')").fetchone() == (1.0, 0.0)


def test_short_and_empty_texts_are_compared_too(con: duckdb.DuckDBPyConnection) -> None:
    _texts(con, ["hi", "HI", "ho", "", " ", "hi there"])
    assert _ids(con, "SELECT id FROM drop_near_duplicates(docs, text)") == [0, 2, 3, 5]


def test_minhash_finds_planted_duplicates_among_thousands(con: duckdb.DuckDBPyConnection) -> None:
    draw = random.Random(3)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(2000)]
    texts: list[str | None] = [" ".join(draw.choices(words, k=30)) for _ in range(2000)]
    for i in range(400):  # one word of thirty is another: a similarity of about 0.85
        changed = str(texts[i]).split()
        changed[draw.randrange(30)] = draw.choice(words)
        texts.append(" ".join(changed))
    texts += [texts[0]] * 1000
    _texts(con, texts)
    started = time.perf_counter()
    kept = set(_ids(con, "SELECT id FROM drop_near_duplicates(docs, text, threshold := 0.75)"))
    assert time.perf_counter() - started < 60
    assert set(range(2000)) <= kept
    exact = """SELECT a.id FROM docs a JOIN docs b ON b.id = a.id - 2000
        WHERE a.id BETWEEN 2000 AND 2399 AND text_similarity(a.text, b.text) >= 0.75"""
    planted = set(_ids(con, exact))
    assert len(planted) > 300
    assert len(planted & kept) <= 0.02 * len(planted)
    assert not {i for i in kept if i >= 2400}
    assert kept - set(range(2000)) - set(range(2000, 2400)) == set()


def test_the_result_is_the_same_each_time_and_keeps_columns(con: duckdb.DuckDBPyConnection) -> None:
    _texts(con, [f"text number {i % 7} of several texts" for i in range(50)])
    query = "SELECT * FROM drop_near_duplicates(docs, text, threshold := 0.99)"
    assert con.execute(query).fetchall() == con.execute(query).fetchall() == [
        (i, f"text number {i} of several texts") for i in range(7)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "missing"),
        ("", "too short"),
        ("  \n", "too short"),
        ("ok", None),
        ("x" * 30000, "too long"),
        ("?!?! ... ---", "few letters"),
        ("12345 67890 123", "few letters"),
        ("the same words again and again " * 20, "repeats itself"),
        ("broken \ufffd text", "broken characters"),
        ("Der schnelle braune Fuchs springt über den faulen Hund.", None),
        ("今天天气很好我们去公园散步。", None),
        ("आज मौसम बहुत अच्छा है।", None),
        ("السماء صافية اليوم والطقس جميل", None),
    ],
)
def test_a_text_has_its_problem_named(text: str | None, problem: str | None, con: duckdb.DuckDBPyConnection) -> None:
    assert con.execute("SELECT text_problem(?::VARCHAR)", [text]).fetchone() == (problem,)


def test_limits_can_be_set_and_turned_off(con: duckdb.DuckDBPyConnection) -> None:
    query = """SELECT text_problem('1234 5678'), text_problem('1234 5678', min_letters := NULL),
        text_problem('short', min_chars := 10)"""
    assert con.execute(query).fetchone() == ("few letters", None, "too short")


def test_stats_are_what_they_say(con: duckdb.DuckDBPyConnection) -> None:
    ((stats,),) = con.execute("SELECT text_stats('ab cd 12!\n\nab cd 12!')").fetchall()
    assert (stats["chars"], stats["words"], stats["lines"], stats["longest_word"]) == (20, 6, 2, 3)
    assert stats["letters"] == pytest.approx(8 / 14)
    assert stats["digits"] == pytest.approx(4 / 14)
    assert stats["symbols"] == pytest.approx(2 / 14)
    assert stats["repeated_lines"] == 0.5
