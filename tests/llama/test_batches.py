"""Batches that change no answer, whatever else is in them."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install 'distil-sql[llama]'")
pytest.importorskip("gguf", reason="gguf is not installed: pip install 'distil-sql[test]'")

from distil_sql import tiny
from distil_sql.models.base import CallError, Message, Request, Sampling
from distil_sql.models.llama_cpp import LlamaModel
from distil_sql.models.llama_cpp.plan import answers, prompts
from distil_sql.models.llama_cpp.rows import Row, Slot
from distil_sql.models.llama_cpp.sampling import Sampler
from distil_sql.models.llama_cpp.threads import Threads
from tests import made_up_gguf
from tests.llama.asking import (
    BOOLEAN,
    SHORT,
    ask,
    options,
    record,
    run,
    user,
)

ANY = Sampler(Sampling(), 0, [])


K_QUANTS = {"q4_k_m": 15, "q6_k": 18}
"""Ways to quantise whose blocks are of 256 numbers, and llama.cpp's number for each."""


def k_quantised(folder: Path, kind: str) -> Path:
    """A file quantised by llama.cpp itself, its rows whole blocks."""
    from distil_sql.models.llama_cpp.api.library import LIBRARY

    whole, path = folder / "whole.gguf", folder / f"{kind}.gguf"
    if not whole.exists():
        made_up_gguf.write(whole, width=256, hidden=512, quantisation="f16")
    if not path.exists():
        given = LIBRARY.llama_model_quantize_default_params()
        given.ftype, given.nthread = K_QUANTS[kind], 1
        assert LIBRARY.llama_model_quantize(bytes(whole), bytes(path), ctypes.byref(given)) == 0
    return path


def mixed_requests() -> list[Request]:
    """Prompts short and long, with a shared beginning and without, greedy and drawn, of one sample and of several."""
    draw = random.Random(0)

    def words(count: int) -> str:
        return " ".join(draw.choice("abcdefgh") + draw.choice("aeiou") for _ in range(count))

    system: Message = {"role": "system", "content": words(50)}
    requests = [
        Request(
            (system, {"role": "user", "content": words(draw.choice([1, 4, 30, 300]))}),
            Sampling(temperature=number % 2, max_tokens=draw.choice([1, 9, 40]), seed=number),
        )
        for number in range(12)
    ]
    requests += [Request(requests[5].messages, Sampling(max_tokens=12), sample=sample) for sample in range(4)]
    return [*requests, Request(user("hi"), Sampling(max_tokens=30, temperature=0))]


@pytest.mark.parametrize("quantisation", ["q8_0", "q4_0", "f16"])
def test_answers_do_not_depend_on_the_batch_or_its_order(folder: Path, quantisation: str) -> None:
    path = made_up_gguf.write(folder / f"{quantisation}.gguf", quantisation=quantisation, layers=3)
    requests = mixed_requests()
    expected = [(answer.text, answer.finish_reason) for answer in ask(options(path, concurrency=1), requests)]
    for concurrency in (4, 16):
        order = random.Random(concurrency).sample(range(len(requests)), len(requests))
        answers = ask(options(path, concurrency=concurrency), [requests[i] for i in order])
        assert [(a.text, a.finish_reason) for a in answers] == [expected[i] for i in order]


@pytest.mark.parametrize("quantisation", ["q8_0", "q4_0", "f16"])
def test_typed_answers_do_not_depend_on_the_batch_either(folder: Path, quantisation: str) -> None:
    """Forced text and labels' branches are read as stretches, beside whatever else is there."""
    path = made_up_gguf.write(folder / f"typed_{quantisation}.gguf", quantisation=quantisation, layers=3)
    digit = {"type": "integer", "minimum": 1, "maximum": 9}
    schemas = [
        None,
        record(score=digit, reason=SHORT, correct=BOOLEAN, confidence=digit),
        record(value={"enum": ["very good", "very bad", "good", "bad", "verbose"]}),
        record(value=BOOLEAN),
        record(items={"type": "array", "items": SHORT, "maxItems": 3}),
    ]
    requests = [
        Request(one.messages, one.sampling, schemas[number % len(schemas)], number % 3)
        for number, one in enumerate(mixed_requests() * 2)
    ]
    expected = [(a.text, a.finish_reason, a.probabilities) for a in ask(options(path, concurrency=1), requests)]
    for concurrency in (5, 16):
        order = random.Random(concurrency).sample(range(len(requests)), len(requests))
        answers = ask(options(path, concurrency=concurrency), [requests[i] for i in order])
        assert [(a.text, a.finish_reason, a.probabilities) for a in answers] == [expected[i] for i in order]


def test_answers_do_not_depend_on_threads(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Sampling(max_tokens=12, temperature=0, logprobs=True)
    requests = [Request(user(f"{n} " * 40 * (n + 1)), given) for n in range(6)]
    expected = [answer.logprobs for answer in ask(options(small, threads=1), requests)]
    for threads in (2, 3, 5):
        assert [answer.logprobs for answer in ask(options(small, threads=threads), requests)] == expected
    any_count(monkeypatch)
    assert [answer.logprobs for answer in ask(options(small), requests)] == expected


def any_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another number of threads with each decode."""
    draw = random.Random(0)
    monkeypatch.setattr(Threads, "count", lambda self, size: draw.randint(1, 4))
    monkeypatch.setattr(Threads, "took", lambda self, size, seconds: None)


@pytest.mark.parametrize("kv_cache", ["f16", "q8_0"])
@pytest.mark.parametrize("kind", ["q4_0", "f16", *K_QUANTS])
def test_answers_of_other_weights_do_not_depend_on_threads_either(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, kv_cache: str
) -> None:
    """One request at a time: in company such a cache and such weights round otherwise."""
    if kind in K_QUANTS:
        path = k_quantised(folder, kind)
    else:
        path = made_up_gguf.write(folder / f"threads_{kind}.gguf", width=128, quantisation=kind)
    sampling = Sampling(max_tokens=6, temperature=0, logprobs=True)
    requests = [Request(user(f"{n} " * 30 * (n + 1)), sampling) for n in (0, 3)]

    def logprobs(threads: int) -> list[Sequence[tuple[str, float | None]] | None]:
        given = options(path, threads=threads, kv_cache=kv_cache)
        return [ask(given, [request])[0].logprobs for request in requests]

    expected = logprobs(1)
    assert [logprobs(threads) for threads in (2, 3)] == [expected] * 2
    any_count(monkeypatch)
    assert logprobs(4) == expected


def slots_with(draw: random.Random, count: int) -> list[Slot]:
    """Slots as they may be: idle, reading a prompt, running, or waiting for another."""
    slots = [Slot(number, cells=[1] * draw.randrange(30)) for number in range(count)]
    for slot in slots:
        slot.prompt = draw.choice([0, len(slot.cells)])
    for slot in slots:
        kind = draw.choice(["idle", "reading", "reading", "running", "waiting"])
        if kind != "idle":
            slot.row = row = Row([1] * (len(slot.cells) + draw.choice([1, 2, 3, 40, 41, 511, 600])), 5, ANY, print)
            if kind == "running":
                row.tokens = [*slot.cells, 7]
                row.start = len(slot.cells)
            slot.waits_for = (slots[0], row) if kind == "waiting" else None
    return slots


def test_no_decode_mixes_what_would_change_an_answer() -> None:
    draw = random.Random(0)
    for _ in range(500):
        slots = slots_with(draw, draw.choice([2, 3, 16]))
        parts = prompts(slots, 512, again=draw.random() < 0.5)
        lengths = {len(part.tokens) for part in parts}
        assert sum(len(part.tokens) for part in parts) <= 512
        assert not any(length + 1 in lengths for length in lengths)
        assert bool(parts) == any(slot.reading for slot in slots)
        for part in parts:
            left = part.slot.unread + part.again - len(part.tokens)
            assert part.output == (left == 0)
            assert left != 1
            assert len(part.tokens) > 1 or part.slot.unread == 1
        parts = answers(slots, pad_holes=True, pad_lone=True)
        running = [slot.sequence for slot in slots if slot.running]
        assert [part.slot.sequence for part in parts if not part.padding] == running
        chosen = [part.slot.sequence for part in parts]
        assert chosen == sorted(set(chosen))
        assert all(number - 1 in chosen or number + 1 in chosen for number in chosen)


def test_a_shared_beginning_is_computed_once(small: Path) -> None:
    system: Message = {"role": "system", "content": "abcdefgh " * 40}
    requests = [Request((system, *user(f"{n} " * 5)), Sampling(max_tokens=4)) for n in range(8)]
    answers = ask(options(small), requests)
    assert sum(answer.cached_tokens == 0 for answer in answers) == 1
    assert all(answer.cached_tokens >= 290 for answer in answers[1:])
    assert all(answer.input_tokens > answer.cached_tokens for answer in answers)


def test_samples_of_a_prompt_differ_and_each_comes_again(small: Path) -> None:
    requests = [Request(user("say something"), Sampling(max_tokens=20), sample=n) for n in range(6)]
    first, second = ask(options(small), requests), ask(options(small, concurrency=2), requests[::-1])[::-1]
    assert len({answer.text for answer in first}) == 6
    assert [answer.text for answer in first] == [answer.text for answer in second]


def test_a_seed_gives_another_answer(small: Path) -> None:
    answers = ask(options(small), [Request(user("go"), Sampling(max_tokens=20, seed=seed)) for seed in (1, 2, 1)])
    assert answers[0].text == answers[2].text != answers[1].text


def test_greedy_answers_are_those_of_the_high_level_api() -> None:
    from tests.benchmarks.row_by_row import RowByRow

    questions = ("Write cat in capitals.", "Name a fruit.", "What is 2 + 3?", "What is the capital of France?")
    requests = [Request(user(text), Sampling(temperature=0, max_tokens=24)) for text in questions]
    other = RowByRow(tiny.path(), threads=1, context=512)
    equal = [
        one.text == other.answer(request)[0]
        for one, request in zip(ask(options("tiny"), requests), requests, strict=True)
    ]
    assert sum(equal) >= 3  # where two tokens are as likely, roundings decide


def test_more_sequences_than_rows_and_as_many_as_llama_cpp_takes(small: Path) -> None:
    requests = [Request(user(f"{n}"), Sampling(max_tokens=3, temperature=0)) for n in range(40)]
    assert ask(options(small, concurrency=255), requests) == ask(options(small, concurrency=255), requests)


def test_one_model_answers_several_event_loops(small: Path) -> None:
    model = LlamaModel(options(small))
    request = Request(user("hi"), Sampling(max_tokens=5))
    assert run(model.complete(request)).text == run(model.complete(request)).text
    run(model.close())
    run(model.close())
    with pytest.raises(CallError, match="closed"):
        run(model.complete(request))
