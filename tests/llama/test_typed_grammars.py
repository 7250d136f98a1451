"""RETURNS types as grammars: whatever answer a grammar allows is read, and DuckDB casts it to the type."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install 'distil-sql[llama]'")
pytest.importorskip("gguf", reason="gguf is not installed: pip install 'distil-sql[test]'")

from distil_sql.errors import OptionError
from distil_sql.models.llama_cpp import bounds
from distil_sql.models.llama_cpp.api import Weights, candidates
from distil_sql.models.llama_cpp.grammar import GrammarError, gbnf
from distil_sql.task.output import Output
from tests.llama.asking import takes

WHOLE = ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"]
WHOLE += [f"U{name}" for name in WHOLE]
# a bare number, bounds on either side of the point, none before it, more digits than a double keeps
DECIMALS = [(1, 0), (5, 2), (3, 3), (10, 2), (15, 0), (16, 1), (18, 3), (20, 10), (38, 0), (38, 22), (38, 37), (38, 38)]
TIMES = ["DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP_S", "TIMESTAMP_MS"]
LABELS = "ENUM('a', 'b c', 'it''s \"d\"', 'é🦆', '')"
NESTED = [
    "VARCHAR[]",
    "INTEGER[][]",
    "DOUBLE[3]",
    "INTEGER[2][3]",
    f"{LABELS}[]",
    "DECIMAL(4, 3)[]",
    "STRUCT(a INTEGER, b VARCHAR)",
    'STRUCT("odd ""name""" BOOLEAN, 汉 TIME, more STRUCT("on" DATE, x DECIMAL(3, 1))[])',
    "STRUCT(a JSON, b VARCHAR)",
    "MAP(VARCHAR, INTEGER)",
    "MAP(VARCHAR, DECIMAL(3, 1))",
    f"MAP({LABELS}, UTINYINT)",
    f"MAP({LABELS}, STRUCT(why VARCHAR, since DATE))",
    f"MAP({LABELS}, MAP(VARCHAR, {LABELS}[]))[]",
    f"STRUCT(m MAP({LABELS}, BOOLEAN), n UUID[2])",
]
TYPES = [
    *("BOOLEAN", "FLOAT", "DOUBLE", "UUID", LABELS),
    *WHOLE,
    *(f"DECIMAL({precision}, {scale})" for precision, scale in DECIMALS),
    *TIMES,
    *NESTED,
]


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as found:
        yield found


class Drawn:
    """Answers that a grammar allows, byte by byte; now and then the byte that comes nearest to an end."""

    def __init__(self, weights: Weights) -> None:
        pieces = {weights.piece(token): token for token in reversed(range(weights.n_vocab))}
        self.bytes = sorted(piece for piece in pieces if len(piece) == 1)
        self.tokens = np.array([*(pieces[piece] for piece in self.bytes), weights.eos], np.int32)
        self.weights = weights

    def answers(self, text: str, seed: int, count: int) -> Iterator[str]:
        draw, grammar = random.Random(seed), self.weights.grammar(text)
        try:
            for _ in range(count):
                yield self._answer(grammar.clone(), draw)
        finally:
            grammar.close()

    def _answer(self, grammar: Any, draw: random.Random) -> str:
        said, patience = b"", draw.choice([5, 40, 120])
        while True:
            found = candidates(self.tokens, np.zeros(len(self.tokens), np.float32))
            grammar.mask(found)
            *allowed, end = found["logit"] == 0.0
            if end and (len(said) > patience or not any(allowed) or draw.random() < 0.3):
                grammar.close()
                return said.decode(
                    errors="replace"
                )  # as a model's answer is: grammars take some bytes that no text has
            options = [place for place, one in enumerate(allowed) if one]
            closing = [place for place in options if self.bytes[place] in (b'"', b"}", b"]")]
            place = draw.choice(closing if closing and len(said) > patience else options)
            said += self.bytes[place]
            grammar.accept(int(self.tokens[place]))


def grammar_of(output: Output) -> str:
    assert output.schema is not None
    return gbnf(output.schema)


@pytest.mark.parametrize("returns", TYPES)
def test_what_a_grammar_allows_is_a_value_of_the_type(
    weights: Weights, con: duckdb.DuckDBPyConnection, returns: str
) -> None:
    output = Output(returns)
    for answer in Drawn(weights).answers(grammar_of(output), seed=0, count=25):
        said = json.loads(answer)
        read = output.read(answer)
        if "DATE" not in returns and "TIME" not in returns:  # those are written anew
            assert json.loads(read) == (said["value"] if output.wrapped else said)
        # not TRY_CAST: nothing in it may fail
        row = con.execute(f"SELECT CAST(CAST(? AS JSON) AS {returns}) IS NOT NULL", [read]).fetchone()
        assert row == (True,), answer


@pytest.mark.parametrize("returns", TYPES)
def test_a_pretended_answer_is_a_value_of_the_type_too(con: duckdb.DuckDBPyConnection, returns: str) -> None:
    output = Output(returns)
    row = con.execute(f"SELECT CAST(CAST(? AS JSON) AS {returns}) IS NOT NULL", [output.read(output.example())])
    assert row.fetchone() == (True,)


@pytest.mark.parametrize(("precision", "scale"), DECIMALS)
def test_the_largest_decimals_are_allowed_and_fit(
    weights: Weights, con: duckdb.DuckDBPyConnection, precision: int, scale: int
) -> None:
    output = Output(f"DECIMAL({precision}, {scale})")
    before = precision - scale
    whole, digits = "9" * min(before, 15) or "0", "9" * min(scale, 15 - min(before, 15))
    for sign in ("", "-"):
        most = sign + whole + (f".{digits}" if digits else "")
        assert allows(weights, output, most)
        sql = f"SELECT abs(CAST(CAST(? AS JSON) AS {output.returns})) >= CAST(? AS {output.returns})"
        assert con.execute(sql, [output.read(most), most.removeprefix("-")]).fetchone() == (True,)
        if before < 15:
            assert not allows(weights, output, f"{sign}1{'0' * before}")
            assert not allows(weights, output, most + "9" if digits else f"{most}.5")


def test_ranges_of_decimal_numbers_are_exact() -> None:
    draw = random.Random(0)
    pairs = [(-9.99, 9.99), (-0.5, 0.5), (0.1, 0.1), (0.123, 0.129), (0.5, 1), (-1, -0.25), (5, 5.5), (0, 0), (-3, 2)]
    ends = [round(draw.uniform(-9, 9), draw.choice([0, 1, 2, 3])) for _ in range(120)]
    pairs += [(min(one, other), max(one, other)) for one, other in itertools.pairwise(ends)]
    numbers = [number / 10 for number in range(-110, 110)] + [number / 1000 for number in range(-1200, 1200)]
    for low, high in pairs:
        body = "|".join(bounds.decimals(low, high)).replace('"."', r"\.")
        pattern = re.compile(re.sub(r'[" ]', "", body))
        for number in numbers:
            text, fits = f"{number:.3f}", low <= number <= high
            assert [bool(pattern.fullmatch(text + zeros)) for zeros in ("", 12 * "0")] == [fits, fits]
        assert not any(pattern.fullmatch(text) for text in ("", "1.", ".5", "01", "00.5", f"{low:.16f}"))


def allows(weights: Weights, output: Output, number: str) -> bool:
    return takes(weights, grammar_of(output), f'{{"value": {number}}}')


def test_a_map_of_many_labels_is_answered_too(weights: Weights, con: duckdb.DuckDBPyConnection) -> None:
    labels = ", ".join(f"'label {number}'" for number in range(200))
    output = Output(f"MAP(ENUM({labels}), INTEGER)")
    for answer in Drawn(weights).answers(grammar_of(output), seed=1, count=3):
        sql = f"SELECT CAST(CAST(? AS JSON) AS {output.returns}) IS NOT NULL"
        assert con.execute(sql, [output.read(answer)]).fetchone() == (True,)


def test_the_keys_of_a_map_are_shown_to_the_model() -> None:
    assert Output("MAP(ENUM('a', 'b'), INTEGER)").hint == 'Answer with JSON only: {"a" | "b": integer, ...}'


def test_nanoseconds_hold_the_years_from_1678_to_2261(weights: Weights, con: duckdb.DuckDBPyConnection) -> None:
    """JSON schema has no word for that: other years are NULL."""
    output, values = Output("TIMESTAMP_NS"), []
    for answer in Drawn(weights).answers(grammar_of(output), seed=0, count=300):
        row = con.execute("SELECT TRY_CAST(CAST(? AS JSON) AS TIMESTAMP_NS) IS NOT NULL", [output.read(answer)])
        values.append((1678 <= int(json.loads(answer)["value"][:4]) <= 2261, row.fetchone() == (True,)))
    assert set(values) == {(False, False), (True, True)}


@pytest.mark.parametrize(
    "returns",
    [
        *("BLOB", "BIT", "INTERVAL", "TIMETZ", "TIME_NS", "TIMESTAMPTZ_NS", "BIGNUM", "VARIANT", "GEOMETRY"),
        *("UNION(a INTEGER, b VARCHAR)", "BLOB[]", "STRUCT(a INTERVAL)", "MAP(VARCHAR, BIT)"),
    ],
)
def test_types_that_json_cannot_say_are_refused(returns: str) -> None:
    with pytest.raises(
        OptionError, match=r"^RETURNS .+ is not supported: use scalars, ENUM, LIST, STRUCT, MAP or JSON"
    ):
        Output(returns)


@pytest.mark.parametrize("key", ["INTEGER", "DATE", "TIMESTAMP", "UUID", "JSON", "VARCHAR[]"])
def test_keys_that_are_no_text_are_refused(key: str) -> None:
    with pytest.raises(OptionError, match=r"^RETURNS MAP\(.+, INTEGER\): the keys of a MAP must be VARCHAR or an ENUM"):
        Output(f"MAP({key}, INTEGER)")


def test_an_array_too_long_for_a_grammar_is_refused() -> None:
    with pytest.raises(GrammarError, match="array of more than 1000 items"):
        grammar_of(Output("INTEGER[1001]"))
