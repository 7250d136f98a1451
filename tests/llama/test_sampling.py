"""Penalties, biases and log probabilities, which go with each call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install 'distil-sql[llama]'")
pytest.importorskip("gguf", reason="gguf is not installed: pip install 'distil-sql[test]'")

from distil_sql.errors import OptionError
from distil_sql.models import identity
from distil_sql.models.base import Request, Sampling
from distil_sql.models.llama_cpp.api import Weights
from distil_sql.models.llama_cpp.sampling import Sampler
from distil_sql.models.options import ModelSpec
from tests.llama.asking import BOOLEAN, ask, failure, options, record, user


def test_penalties_are_those_of_llama_cpp() -> None:
    logits = np.array([2, -2, 1, 0], np.float32)
    sampler = Sampler(Sampling(repeat_penalty=2, presence_penalty=0.5, frequency_penalty=0.25), 0, [])
    assert sampler.adjusted(logits, [0, 0, 1]).tolist() == [1 - 0.5 - 0.5, -4 - 0.25 - 0.5, 1, 0]
    assert sampler.adjusted(logits, [0] + [1] * 64).tolist()[0] == 2  # out of sight
    assert logits.tolist() == [2, -2, 1, 0]
    assert Sampler(Sampling(), 0, []).adjusted(logits, [0, 1]) is logits


def test_a_repeated_token_is_held_back(small: Path) -> None:
    plain, held = (
        ask(options(small), [Request(user("go"), Sampling(temperature=0, max_tokens=40, frequency_penalty=penalty))])
        for penalty in (0, 100)
    )
    words = held[0].text.split()
    assert len(set(words)) == len(words)
    assert plain[0].text != held[0].text


def test_biases_forbid_and_force_tokens(small: Path) -> None:
    weights = Weights(str(small))
    number = weights.tokenize("b")[0]
    ends = tuple((str(token), -1e9) for token in weights.end_tokens)
    weights.close()
    forced = Sampling(temperature=0, max_tokens=5, logit_bias=(("a", 1e6),))
    by_number = Sampling(temperature=0, max_tokens=5, logit_bias=((str(number), 1e6),))
    endless = Sampling(temperature=1, max_tokens=400, logit_bias=ends)
    first, second, third = ask(options(small), [Request(user("go"), s) for s in (forced, by_number, endless)])
    assert (first.text, second.text) == ("aaaaa", "bbbbb")
    assert (third.output_tokens, third.finish_reason) == (400, "length")
    error = failure(options(small), Request(user("go"), Sampling(logit_bias=(("a b c d", 1.0),))))
    assert "name one token" in error.message
    assert not error.fatal


def test_logprobs_are_those_of_the_tokens_that_were_chosen(small: Path) -> None:
    sampling = Sampling(temperature=0, max_tokens=8, logprobs=True)
    free, held = ask(
        options(small), [Request(user("go"), sampling), Request(user("go"), sampling, record(a=BOOLEAN, b=BOOLEAN))]
    )
    assert free.logprobs is not None
    assert len(free.logprobs) == free.output_tokens
    assert all(score is not None and score <= 0 for _, score in free.logprobs)
    assert "".join(text for text, _ in free.logprobs).strip() == free.text.strip()
    assert held.logprobs is not None
    assert any(score is None for _, score in held.logprobs)
    assert ask(options(small), [Request(user("go"), Sampling(max_tokens=8))])[0].logprobs is None


def test_options_reach_the_call_and_its_key() -> None:
    plain = ModelSpec.read("m", {"type": "llama_cpp", "path": "tiny"})
    given = {"repeat_penalty": 1.1, "presence_penalty": 1, "frequency_penalty": -1, "logit_bias": {"a": 2}}
    other = ModelSpec.read("m", {"type": "llama_cpp", "path": "tiny", "logprobs": True, **given})
    sampling = other.sampling()
    assert (sampling.repeat_penalty, sampling.presence_penalty, sampling.frequency_penalty) == (1.1, 1, -1)
    assert (sampling.logit_bias, sampling.logprobs) == ((("a", 2.0),), True)
    assert repr(sampling) == repr(plain.sampling())  # keys of calls made before are as they were
    assert set(identity(plain)) < set(identity(other))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("repeat_penalty", 0),
        ("presence_penalty", "x"),
        ("logit_bias", {"a": "b"}),
        ("logit_bias", [1]),
        ("logprobs", 1),
    ],
)
def test_odd_values_are_refused(option: str, value: object) -> None:
    with pytest.raises(OptionError, match=option):
        ModelSpec.read("m", {"type": "llama_cpp", "path": "tiny", option: value})
