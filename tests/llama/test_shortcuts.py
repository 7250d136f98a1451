"""What a model need not be asked token by token: text that is forced, and labels from a closed set."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import duckdb
import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install 'distil-sql[llama]'")
pytest.importorskip("gguf", reason="gguf is not installed: pip install 'distil-sql[test]'")

import distil_sql
from distil_sql.models.base import Completion, Request, Sampling
from distil_sql.models.llama_cpp.api import Weights
from distil_sql.models.llama_cpp.constraint import Ahead, Form, Spelling
from distil_sql.models.llama_cpp.grammar import gbnf
from distil_sql.models.llama_cpp.labels import Labels, Reading, closed_set
from tests.benchmarks.llama_watch import watched
from tests.llama.asking import BOOLEAN, SHORT, ask, options, record, user

DIGIT = {"type": "integer", "minimum": 1, "maximum": 9}


def ahead(weights: Weights, schema: dict[str, Any], answer: str) -> tuple[str, bool]:
    """The text that must follow an answer, and whether it ends there."""
    form = Form(weights, Spelling(weights), gbnf(schema))
    constraint = form.begin()
    for token in weights.tokenize(answer):
        constraint.accept(token)
    found: Ahead = constraint.ahead(bytearray(answer.encode()))
    constraint.close()
    form.close()
    return b"".join(map(weights.piece, found.tokens)).decode(), found.ended


@pytest.mark.parametrize(
    ("answer", "following", "ended"),
    [
        ("", '{"score": ', False),
        ('{"score": 4', ', "né": "', False),
        ('{"score": 4, "né": "x', "", False),
        ('{"score": 4, "né": "x"', ', "ok": ', False),
        ('{"score": 4, "né": "x", "ok": t', "rue}", True),
    ],
)
def test_text_without_a_choice_is_known_beforehand(weights: Weights, answer: str, following: str, ended: bool) -> None:
    found, ends = ahead(weights, record(score=DIGIT, né=SHORT, ok=BOOLEAN), answer)
    assert following.startswith(found)
    rest = following[len(found) :].encode()
    pieces = [weights.piece(token) for token in range(weights.n_vocab)]
    # what is left to the model may be spelled by a token that reaches beyond it
    assert not rest or any(piece.startswith(rest) and len(piece) > len(rest) for piece in pieces)
    assert ends == (ended and not rest)


def test_labels_that_share_half_a_character_are_told_apart(weights: Weights) -> None:
    text, _ = ahead(weights, record(a={"enum": ["né", "nè"]}, b=BOOLEAN), "")
    assert '{"a": "n'.startswith(text)


def test_forced_text_takes_no_decodes(small: Path) -> None:
    schema = record(relevance=DIGIT, correctness=DIGIT, confidence=DIGIT)
    with watched() as watch:
        (answer,) = ask(options(small), [Request(user("go"), Sampling(max_tokens=200), schema=schema)])
    assert list(json.loads(answer.text)) == ["relevance", "correctness", "confidence"]
    assert answer.output_tokens > 20
    assert watch.all_decodes == 3


def test_an_answer_that_is_forced_whole_takes_none(small: Path) -> None:
    with watched() as watch:
        (answer,) = ask(options(small), [Request(user("go"), schema=record(a={"const": "é"}))])
    assert (json.loads(answer.text), answer.finish_reason, watch.all_decodes) == ({"a": "é"}, "stop", 0)


# --- labels


def decided(small: Path, inner: dict[str, Any], **sampling: Any) -> Completion:
    request = Request(user("which?"), Sampling(**{"temperature": 0, **sampling}), schema=record(value=inner))
    return ask(options(small), [request])[0]


@pytest.mark.parametrize(
    ("inner", "values"),
    [
        (BOOLEAN, [True, False]),
        ({"enum": ["yes", "no", "né", 'a "b"', "", 3, None]}, ["yes", "no", "né", 'a "b"', "", 3, None]),
        (
            {"enum": ["very good", "very bad", "very", "good", "goodness"]},
            ["very good", "very bad", "very", "good", "goodness"],
        ),
        ({"type": "integer", "minimum": -2, "maximum": 12}, list(range(-2, 13))),
        ({"anyOf": [BOOLEAN, {"type": "null"}]}, [True, False, None]),
        ({"enum": ["3", 3, "null", None]}, ["3", 3, "null", None]),
    ],
)
def test_every_label_has_a_probability(small: Path, inner: dict[str, Any], values: list[Any]) -> None:
    answer = decided(small, inner)
    assert answer.probabilities is not None
    names = [value if isinstance(value, str) else json.dumps(value) for value in values]
    if len(set(names)) < len(values):
        names = [json.dumps(value) for value in values]
    assert sorted(answer.probabilities) == sorted(names)
    assert math.isclose(sum(answer.probabilities.values()), 1, abs_tol=1e-6)
    chosen = json.loads(answer.text)["value"]
    assert next(iter(answer.probabilities)) == names[values.index(chosen)]


def test_labels_that_differ_at_once_take_one_decode(small: Path) -> None:
    with watched() as watch:
        answer = decided(small, {"enum": ["cat", "dog", "house"]}, max_tokens=1)
    assert (watch.all_decodes, answer.finish_reason) == (1, "stop")


def test_other_schemas_have_no_labels() -> None:
    assert closed_set(record(a=BOOLEAN, b=BOOLEAN)) is None
    assert closed_set(record(a={"type": "string"})) is None
    assert closed_set(record(a={"type": "integer", "minimum": 0, "maximum": 1000})) is None
    assert closed_set(record(a={"anyOf": [BOOLEAN, SHORT]})) is None
    assert closed_set(record(a={"type": "array", "items": BOOLEAN})) is None


def test_a_labels_probability_is_the_product_along_its_way(small: Path) -> None:
    """Against the scores read one token at a time from the same weights."""
    import numpy as np

    weights = Weights(str(small))
    spelling = Spelling(weights)
    values = ["very good", "very bad", "good", "bad", "bat"]
    labels = Labels(spelling.tokens, "value", values)
    context = weights.context(sequences=1, cells=256, flash_attention=False)

    def scores(tokens: list[int]) -> Any:
        context.trim(0, 0)
        assert context.decode([(0, 0, tokens, True)]) == 0
        return context.logits(len(tokens) - 1).astype(np.float64)

    prompt = weights.tokenize("which one?")
    reading = Reading(labels)
    while reading.path is not None:
        reading.take(scores([*prompt, *labels.beginning, *reading.path]).astype(np.float32))
    spelled = [tuple(spelling.tokens(text.encode())) for text in labels.texts]
    expected = {}
    for value, way in zip(values, spelled, strict=True):
        chance = 1.0
        for depth in range(len(labels.beginning), len(way)):
            choices = sorted({other[depth] for other in spelled if other[:depth] == way[:depth]})
            found = scores([*prompt, *way[:depth]])[choices]
            found = np.exp(found - found.max())
            chance *= float(found[choices.index(way[depth])] / found.sum())
        expected[value] = chance
    assert reading.probabilities() == pytest.approx(expected, abs=2e-3)
    context.close()
    weights.close()


def test_labels_can_be_drawn(small: Path) -> None:
    requests = [
        Request(user("which?"), Sampling(temperature=2, top_p=1, min_p=0), schema=record(value=BOOLEAN), sample=n)
        for n in range(30)
    ]
    answers = ask(options(small), requests)
    assert {answer.text for answer in answers} == {'{"value": true}', '{"value": false}'}
    assert len({json.dumps(answer.probabilities) for answer in answers}) == 1
    assert [a.text for a in answers] == [a.text for a in ask(options(small, concurrency=1), requests)]


def test_details_show_probabilities_and_logprobs(tmp_path: Path) -> None:
    script = """
CREATE MODEL labeller (TYPE llama_cpp, path 'tiny', temperature 0);
CREATE MODEL loud (TYPE llama_cpp, path 'tiny', temperature 0, max_tokens 5, logprobs true);
CREATE LABELLER TASK mood(t VARCHAR) RETURNS ENUM('positive', 'negative') PROMPT $$Sentiment of: {{ t }}$$;
CREATE GENERATOR TASK say(t VARCHAR) RETURNS VARCHAR MODEL loud PROMPT $${{ t }}$$ WITH (truncated 'keep');
CREATE TABLE moods AS SELECT mood_details('I love it') AS d, say_details('Name a fruit.') AS said;
"""
    distil_sql.run(script, tmp_path / "data.duckdb")
    with duckdb.connect(str(tmp_path / "data.duckdb")) as con:
        query = "SELECT d.value, d.probabilities, d.logprobs, said.probabilities, said.logprobs FROM moods"
        (row,) = con.execute(query).fetchall()
    value, probabilities, none, nothing, logprobs = row
    assert value == max(probabilities, key=probabilities.get)
    assert math.isclose(sum(probabilities.values()), 1, abs_tol=1e-6)
    assert (none, nothing) == (None, None)
    assert all(each["logprob"] <= 0 and each["token"] for each in logprobs)
