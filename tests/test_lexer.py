"""The tokenizer: the same tokens as DuckDB's own, with their ends, and a place for whatever never ends."""

from __future__ import annotations

from itertools import pairwise

import duckdb
import pytest

from distil_sql.errors import ScriptError
from distil_sql.script import Source, Token, tokenize
from distil_sql.script.lexer import matching, split_on_commas

AWKWARD = [
    'SELECT \'it\'\'s; fine\', "a ""name"" ; too" FROM t',
    "SELECT $$a ; 'b' -- no comment$$, $tag$ $$ inner $$ $tag$",
    r"SELECT E'a\'b;', e'x''y\\', 'back\slash'",
    "SELECT x::INTEGER, y->>'a', z->'$.b', a||b, a//b, 2**3",
    "SELECT ?, @x, ~y, a & b",
    "SELECT 1e5, 1.5E-3, .5, 1., 42",
    "SELECT a$b, a$$b FROM t$1",
    "SELECT f(x := 1, y => [1, 2], z := {'k': 'v', n: -1})",
    "SELECT a[1:2], s.b.c, list_transform(l, lambda x: x + 1)",
    "SELECT a<>b, a!=b, a<=b, a>=b, a==b, a <b",
    "SELECT été, 'naïve', \"ñ\", '日本', 日本語 FROM größe",
    "SELECT '-- no comment', '/* nor this */'",
    "SELECT ''''",
    "SELECT 'a\nb', $$\n$$\n, 1",
    "SELECT\t1\r\n, 2",
    "select A.b FROM Main.T",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_tokens_start_where_duckdb_says(text: str) -> None:
    theirs = [start for start, _ in duckdb.tokenize(text)]  # in bytes
    ours = [len(text[: token.start].encode()) for token in tokenize(Source(text))]
    assert ours == theirs


@pytest.mark.parametrize("text", AWKWARD)
def test_tokens_and_the_white_space_between_them_are_the_whole_text(text: str) -> None:
    tokens = tokenize(Source(text))
    gaps = [text[a.end : b.start] for a, b in pairwise(tokens)]
    assert not "".join(gaps).strip()
    assert all(text[token.start : token.end] == token.text for token in tokens)
    assert tokens[-1].end == len(text)


@pytest.mark.parametrize(
    ("comment", "left"),
    [
        ("-- one ; two\n", 2),
        ("-- one\r", 2),
        ("/* ; */", 2),
        ("/* a /* nested ; */ b */", 2),
        ("/* ' */", 2),
        ("/**/", 2),
        ("/* -- */", 2),
        ("/* $$ */", 2),
    ],
)
def test_comments_are_no_tokens(comment: str, left: int) -> None:
    assert [token.text for token in tokenize(Source(f"SELECT {comment} 1"))] == ["SELECT", "1"][:left]


def test_a_comment_may_end_the_script() -> None:
    assert [token.text for token in tokenize(Source("a -- the end"))] == ["a"]
    assert tokenize(Source("-- nothing\n/* at all */  ")) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'it''s'", "it's"),
        ("''", ""),
        (r"'a\n'", r"a\n"),
        (r"E'a\nb\t\'c\\'", "a\nb\t'c\\"),
        ("e'it''s'", "it's"),
        ("$$it's $5$$", "it's $5"),
        ("$a$ $$ $a$", " $$ "),
        ("$$$$", ""),
    ],
)
def test_a_string_is_what_it_stands_for(text: str, value: str) -> None:
    (token,) = tokenize(Source(text))
    assert (token.kind, token.value) == ("string", value)
    if not text.upper().startswith("E"):
        assert duckdb.sql(f"SELECT {text}").fetchall() == [(value,)]


@pytest.mark.parametrize(
    ("text", "inside"), [("'abc'", "abc"), ("E'abc'", "abc"), ("$$abc$$", "abc"), ("$x$abc$x$", "abc")]
)
def test_the_content_of_a_string_starts_behind_its_quote(text: str, inside: str) -> None:
    (token,) = tokenize(Source(text))
    assert text[token.content_start :].startswith(inside)


def test_a_quoted_name_is_what_stands_between_its_quotes() -> None:
    (token,) = tokenize(Source('"a ""b"""'))
    assert (token.kind, token.name) == ("quoted", 'a "b"')


def test_a_keyword_in_quotes_is_no_keyword() -> None:
    plain, quoted = tokenize(Source('select "select"'))
    assert plain.is_word("SELECT")
    assert not quoted.is_word("SELECT")


@pytest.mark.parametrize(
    ("text", "what", "place"),
    [
        ("SELECT 'abc", "this string is never closed", "f.sql:1:8"),
        ("SELECT 'it''", "this string is never closed", "f.sql:1:8"),
        (r"SELECT E'a\'", "this string is never closed", "f.sql:1:8"),
        ('SELECT\n "abc', "this quoted name is never closed", "f.sql:2:2"),
        ("SELECT $$abc$", "this dollar quote is never closed: add $$", "f.sql:1:8"),
        ("SELECT $t$abc$$", "this dollar quote is never closed: add $t$", "f.sql:1:8"),
        ("SELECT 1 /* a /* b */", "this comment is never closed", "f.sql:1:10"),
        ("é 日\n'é", "this string is never closed", "f.sql:2:1"),
    ],
)
def test_what_never_ends_is_named_with_its_place(text: str, what: str, place: str) -> None:
    with pytest.raises(ScriptError) as raised:
        tokenize(Source(text, "f.sql"))
    assert str(raised.value).startswith(f"{place}: {what}")


def test_brackets_find_each_other_and_commas_inside_them_do_not_count() -> None:
    tokens = tokenize(Source("(a, [b, c], {'d': 1, e: f(2, 3)}, ')')"))
    assert matching(tokens, 0) == len(tokens) - 1
    groups = split_on_commas(tokens[1:-1])
    assert [group[0].text for group in groups] == ["a", "[", "{", "')'"]
    assert matching(tokens[:-1], 0) == len(tokens) - 1  # never closed


def test_no_tokens_make_no_group_and_a_trailing_comma_an_empty_one() -> None:
    assert split_on_commas([]) == []
    comma = Token("op", ",", 0, 1)
    assert split_on_commas([comma]) == [[], []]


def test_a_long_script_is_read_in_linear_time() -> None:
    text = "SELECT " + ", ".join(f"'value {i}'" for i in range(50_000))
    assert len(tokenize(Source(text))) == 100_000
    assert len(tokenize(Source("SELECT '" + "x''" * 200_000 + "'"))) == 2
