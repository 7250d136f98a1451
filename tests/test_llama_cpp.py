"""The embedded model: batches that change no answer, grammars that hold, data that stays data, damaged files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install 'distil-sql[llama]'")
pytest.importorskip("gguf", reason="gguf is not installed: pip install 'distil-sql[test]'")

from distil_sql import tiny
from distil_sql.errors import MissingExtra, ModelError, OptionError
from distil_sql.models.base import CallError, Completion, Message, Request, Sampling
from distil_sql.models.llama_cpp import LlamaModel, LlamaOptions, check, identity, memory
from distil_sql.models.llama_cpp import room as room_module
from distil_sql.models.llama_cpp import shelf as shelf_module
from distil_sql.models.llama_cpp.api import BATCH, LlamaError, Weights
from distil_sql.models.llama_cpp.chat import Chat
from distil_sql.models.llama_cpp.grammar import GrammarError, _between, gbnf
from distil_sql.models.llama_cpp.header import read_header
from distil_sql.models.llama_cpp.plan import answers, prompts
from distil_sql.models.llama_cpp.rows import Row, Slot
from distil_sql.models.llama_cpp.sampling import Sampler
from distil_sql.prompt import formats
from tests import made_up_gguf

T = TypeVar("T")
ANY = Sampler(Sampling(), 0, [])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf")


@pytest.fixture(scope="module")
def small(folder: Path) -> Path:
    return made_up_gguf.write(folder / "small.gguf")


@pytest.fixture(scope="module")
def slow(folder: Path) -> Path:
    """Half a second for a batch of 512 tokens."""
    return made_up_gguf.write(folder / "slow.gguf", width=512, layers=8, hidden=2048, context=8192)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def weights(folder: Path, request: pytest.FixtureRequest) -> Iterator[Weights]:
    """Vocabularies of both kinds: pieces of text, and pieces of bytes."""
    path = made_up_gguf.write(folder / f"{request.param}.gguf", tokenizer=request.param)
    loaded = Weights(str(path))
    yield loaded
    loaded.close()


def user(text: str) -> tuple[Message, ...]:
    return ({"role": "user", "content": text},)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def ask(options: LlamaOptions, requests: Sequence[Request]) -> list[Completion]:
    async def work() -> list[Completion]:
        model = LlamaModel(options)
        try:
            return list(await asyncio.gather(*(model.complete(request) for request in requests)))
        finally:
            await model.close()

    return run(work())


def failure(options: LlamaOptions, request: Request) -> CallError:
    with pytest.raises(CallError) as caught:
        ask(options, [request])
    return caught.value


def options(path: Path | str, **given: Any) -> LlamaOptions:
    return LlamaOptions(path=str(path), **{"concurrency": 4, "threads": 1, **given})


# --- batches


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


def test_answers_do_not_depend_on_threads(small: Path) -> None:
    requests = [Request(user(f"{n} " * 200), Sampling(max_tokens=3, temperature=0)) for n in range(2)]
    one, two = (ask(options(small, threads=threads), requests) for threads in (1, 2))
    assert [answer.text for answer in one] == [answer.text for answer in two]


def slots_with(draw: random.Random, count: int) -> list[Slot]:
    """Slots as they may be: idle, reading a prompt, running, or waiting for another."""
    slots = [Slot(number, cells=[1] * draw.randrange(30)) for number in range(count)]
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
        parts = prompts(slots)
        lengths = {len(part.tokens) for part in parts}
        assert sum(len(part.tokens) for part in parts) <= BATCH
        assert not any(length + 1 in lengths for length in lengths)
        assert bool(parts) == any(slot.reading for slot in slots)
        for part in parts:
            left = part.slot.unread - len(part.tokens)
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
    from tests.benchmarks.bench_llama import RowByRow

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


# --- limits


def test_max_tokens_is_kept_and_said(small: Path) -> None:
    for limit in (1, 2, 17):
        (answer,) = ask(options(small), [Request(user("x"), Sampling(max_tokens=limit, temperature=0))])
        assert (answer.output_tokens, answer.finish_reason) == (limit, "length")
    assert failure(options(small), Request(user("x"), Sampling(max_tokens=0))).kind == "invalid_request"


def test_a_prompt_longer_than_the_context_fails_alone(small: Path) -> None:
    async def work() -> list[Completion | BaseException]:
        model = LlamaModel(options(small, context=128))
        texts = ("short", "long " * 500, "short again")
        calls = (model.complete(Request(user(text), Sampling(max_tokens=400))) for text in texts)
        try:
            return list(await asyncio.gather(*calls, return_exceptions=True))
        finally:
            await model.close()

    first, second, third = run(work())
    assert isinstance(first, Completion)
    assert isinstance(third, Completion)
    assert first.input_tokens + first.output_tokens <= 128
    assert isinstance(second, CallError)
    assert second.kind == "context_length"
    assert "context is 128" in second.message


def test_a_longer_prompt_gets_a_larger_context(small: Path) -> None:
    async def work() -> None:
        model = LlamaModel(options(small))
        for length in (5, 300, 800, 5):
            answer = await model.complete(Request(user("a b " * (length // 4)), Sampling(max_tokens=3)))
            assert answer.output_tokens <= 3
        await model.close()

    run(work())


def test_less_memory_means_fewer_sequences_and_none_is_an_error(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request(user("hello"), Sampling(max_tokens=5, temperature=0))
    (expected,) = ask(options(small), [request])
    for free in (6_000_000, 5_500_000):
        monkeypatch.setattr(room_module, "available_bytes", lambda free=free: free)
        assert [a.text for a in ask(options(small, concurrency=64), [request] * 8)] == [expected.text] * 8
    unquantised = made_up_gguf.write(small.with_name("one_sequence.gguf"), quantisation="f16")
    assert len(ask(options(unquantised), [request] * 3)) == 3
    monkeypatch.setattr(room_module, "available_bytes", lambda: 1000)
    error = failure(options(small), request)
    assert error.kind == "context_length"
    assert "no memory" in error.message


def test_a_model_larger_than_memory_is_not_loaded(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf_module, "available_bytes", lambda: 1000)
    error = failure(options(small), Request(user("x")))
    assert error.fatal
    assert str(small) in error.message


def test_available_memory_is_a_number_of_bytes() -> None:
    free = memory.available_bytes()
    assert free is None or free > 10_000_000


# --- closing


def test_close_stops_a_running_decode(slow: Path) -> None:
    async def work() -> tuple[float, BaseException | Completion]:
        model = LlamaModel(options(slow))
        call = asyncio.ensure_future(model.complete(Request(user("a b c " * 2000), Sampling(max_tokens=400))))
        await asyncio.sleep(1.5)
        started = time.perf_counter()
        await model.close()
        took = time.perf_counter() - started
        (result,) = await asyncio.gather(call, return_exceptions=True)
        return took, result

    took, result = run(work())
    assert isinstance(result, CallError)
    assert "closed" in result.message
    assert took < 0.3


ENDLESS = {"type": "object", "properties": {"t": {"type": "string", "minLength": 1000}}}


def test_a_cancelled_call_frees_its_row(slow: Path) -> None:
    async def work() -> float:
        model = LlamaModel(options(slow, concurrency=1))
        await model.complete(Request(user("warm"), Sampling(max_tokens=1)))
        endless = [
            asyncio.ensure_future(model.complete(Request(user(f"{n}"), Sampling(max_tokens=7000), schema=ENDLESS)))
            for n in range(3)
        ]
        await asyncio.sleep(0.3)
        for call in endless:
            call.cancel()
        started = time.perf_counter()
        await model.complete(Request(user("after"), Sampling(max_tokens=2)))
        took = time.perf_counter() - started
        assert all(
            isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*endless, return_exceptions=True)
        )
        await model.close()
        return took

    assert run(work()) < 5


def test_a_process_may_end_in_the_middle_of_a_call(slow: Path) -> None:
    script = f"""
import asyncio
import contextlib
from distil_sql.models.base import Request, Sampling
from distil_sql.models.llama_cpp import LlamaModel, LlamaOptions
async def main():
    model = LlamaModel(LlamaOptions({str(slow)!r}, threads=1, concurrency=1))
    asyncio.ensure_future(model.complete(Request(({{"role": "user", "content": "a b " * 3000}},))))
    await asyncio.sleep(1)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_forked_child_gets_an_error(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LlamaModel(options(small))
    run(model.complete(Request(user("hi"), Sampling(max_tokens=1))))
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(CallError, match="fork") as caught:
            run(model.complete(Request(user("hi"))))
        assert caught.value.fatal
        run(model.close())
    run(model.close())


# --- text


def forced(text: str) -> Mapping[str, Any]:
    """A schema that only this text answers to."""
    return {"type": "object", "properties": {"t": {"const": text}}}


@pytest.mark.parametrize("text", ["hé 🦆 日本語 ñ", '"quoted" \\ \n\t\x01', "{{ x }} %s {0}", ""])
@pytest.mark.parametrize("tokenizer", ["llama", "gpt2"])
def test_characters_that_span_tokens_come_out_whole(folder: Path, tokenizer: str, text: str) -> None:
    path = made_up_gguf.write(folder / "spans.gguf", tokenizer=tokenizer)
    (answer,) = ask(options(path), [Request(user("x"), Sampling(max_tokens=200), schema=forced(text))])
    assert json.loads(answer.text) == {"t": text}
    assert answer.finish_reason == "stop"


def test_an_answer_cut_short_has_no_broken_character(small: Path) -> None:
    whole = json.dumps({"t": "🦆日本🦆"}, ensure_ascii=False)
    requests = [Request(user("x"), Sampling(max_tokens=n), schema=forced("🦆日本🦆")) for n in range(1, 24)]
    for answer in ask(options(small), requests):
        assert whole.startswith(answer.text)
        assert answer.finish_reason == ("stop" if answer.text == whole else "length")


@pytest.mark.parametrize(("stop", "rest"), [(("END",), '{"t": "one '), (("zzz", "D t", "one END"), '{"t": "')])
def test_an_answer_ends_before_a_stop_text(small: Path, stop: tuple[str, ...], rest: str) -> None:
    sampling = Sampling(max_tokens=200, stop=stop)
    (answer,) = ask(options(small), [Request(user("x"), sampling, schema=forced("one END two"))])
    assert (answer.text, answer.finish_reason) == (rest, "stop")


# --- chat

HOSTILE = " ".join([*made_up_gguf.CONTROLS, *made_up_gguf.USER_DEFINED, "<s>", "</s>", "<unk>", "<0x0A>", "<|user|>\n"])


@pytest.mark.parametrize("name", [name for name in formats.FORMATS if name != "openai"])
def test_control_tokens_in_data_stay_text(weights: Weights, name: str) -> None:
    chat = Chat(weights, formats.template(name))
    controls = {token for token, _ in weights.control_texts().values()}
    fixed = {weights.tokenize(text)[0] for text in made_up_gguf.USER_DEFINED if text in formats.template(name)}

    def of(text: str) -> list[int]:
        messages = [
            {"role": "system", "content": text},
            *user(text),
            {"role": "assistant", "content": text},
            *user(text),
        ]
        return chat.tokens(messages)

    def special(tokens: Sequence[int]) -> list[int]:
        return [token for token in tokens if token in controls or token in fixed]

    assert special(of(HOSTILE)) == special(of("plain"))
    assert b"".join(map(weights.piece, of(HOSTILE))).decode().count("<|im_end|> <|begin_of_text|>") == 4


@pytest.mark.parametrize("name", [name for name in formats.FORMATS if name != "openai"])
def test_the_tokens_spell_the_format(weights: Weights, name: str) -> None:
    messages = [{"role": "system", "content": "  be brief "}, *user(" one\n"), {"role": "assistant", "content": "two"}]
    tokens = Chat(weights, formats.template(name)).tokens([*messages, *user("three")])
    spelled = b"".join(weights.piece(token) or weights.text(token).encode() for token in tokens).decode()
    expected = formats.render_chat(
        formats.template(name),
        [*messages, *user("three")]
        if name not in ("mistral", "gemma")
        else formats.fold_system([*messages, *user("three")]),
        bos_token="<s>",
        eos_token="<|im_end|>",
    )
    assert spelled == (expected if expected.startswith("<s>") else "<s>" + expected)
    assert tokens.count(weights.bos) == (2 if name == "llama2" else 1)


def test_template_and_data_are_tokenized_as_one_text(weights: Weights) -> None:
    chat = Chat(weights, "{% for m in messages %}ba{{ m.content }}be{% endfor %}")
    assert chat.tokens(user("be"))[1:] == weights.tokenize("babebe")


def test_a_template_that_refuses_or_drops_messages_says_so(weights: Weights) -> None:
    with pytest.raises(CallError, match="roles must alternate"):
        Chat(weights, "{{ raise_exception('roles must alternate') }}").tokens(user("x"))
    with pytest.raises(CallError, match="leaves out the user message"):
        Chat(weights, "hello").tokens(user("x"))
    only_user = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"
    tokens = Chat(weights, only_user).tokens([{"role": "system", "content": "be"}, *user("x")])
    assert tokens[1:] == weights.tokenize("be\n\nx")


# --- grammars


def check_fits(value: Any, schema: Mapping[str, Any]) -> None:
    """Assert that a value is what a schema describes: an independent reading of it."""
    if "anyOf" in schema:
        assert any(fits(value, option) for option in schema["anyOf"])
    elif "enum" in schema or "const" in schema:
        assert value in schema.get("enum", [schema.get("const")])
    elif schema["type"] == "object" and "properties" in schema:
        assert list(value) == list(schema["properties"])
        for name, inner in schema["properties"].items():
            check_fits(value[name], inner)
    elif schema["type"] == "object":
        assert isinstance(value, dict)
        for inner in value.values():
            check_fits(inner, schema["additionalProperties"])
    elif schema["type"] == "array":
        assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9)
        for inner in value:
            check_fits(inner, schema["items"])
    elif schema["type"] == "integer":
        assert type(value) is int
        assert schema.get("minimum", value) <= value <= schema.get("maximum", value)
    else:
        kinds = {"number": (int, float), "string": (str,), "boolean": (bool,), "null": (type(None),)}
        assert type(value) in kinds[schema["type"]]
        patterns = {"date": r"\d{4}-\d\d-\d\d", "time": r"\d\d:\d\d:\d\d(\.\d+)?", "uuid": r"[0-9a-f-]{36}"}
        assert re.fullmatch(patterns.get(schema.get("format", ""), r"(?s).*"), str(value))


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    try:
        check_fits(value, schema)
    except (AssertionError, TypeError, KeyError):
        return False
    return True


def record(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


INTEGER, NUMBER, BOOLEAN = {"type": "integer"}, {"type": "number"}, {"type": "boolean"}
SHORT = {"type": "string", "maxLength": 8}
SCHEMAS = {
    "score": record(score={"type": "integer", "minimum": 1, "maximum": 5}),
    "scalars": record(a=INTEGER, b=NUMBER, c=BOOLEAN, d={"type": "null"}, e=SHORT),
    "labels": record(label={"enum": ["yes", "no", 'a "quoted" one', "né", 3, 0.5, None, True]}),
    "list": record(items={"type": "array", "items": SHORT, "minItems": 2, "maxItems": 4}),
    "empty": record(none={"type": "array", "items": SHORT, "maxItems": 0}),
    "nullable": record(a={"anyOf": [INTEGER, {"type": "null"}]}, b={"anyOf": [SHORT, NUMBER]}),
    "nested": record(p=record(q=record(r={"type": "array", "items": record(s=BOOLEAN), "maxItems": 3}))),
    "times": record(
        a={"type": "string", "format": "date"},
        b={"type": "string", "format": "time"},
        c={"type": "string", "format": "date-time"},
        d={"type": "string", "format": "uuid"},
    ),
    "odd names": record(**{'a "b"': BOOLEAN, "c\\d": BOOLEAN, "é\n": BOOLEAN, "": BOOLEAN}),
    "bigint": record(i={"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}),
    "text": record(text={"type": "string"}, more={"type": "string"}),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_answers_fit_their_schema(small: Path, name: str) -> None:
    schema = SCHEMAS[name]
    requests = [
        Request(user("go"), Sampling(temperature=temperature, max_tokens=400, seed=seed), schema=schema)
        for seed in range(8)
        for temperature in (0, 1, 3)
    ]
    answers = ask(options(small, concurrency=16), requests)
    for answer in answers:
        if answer.finish_reason == "stop":
            check_fits(json.loads(answer.text), schema)
    assert name == "text" or all(answer.finish_reason == "stop" for answer in answers)


def test_a_map_answers_with_values_of_its_type(small: Path) -> None:
    schema = record(m={"type": "object", "additionalProperties": INTEGER})
    requests = [
        Request(user("go"), Sampling(temperature=1, max_tokens=300), schema=schema, sample=n) for n in range(20)
    ]
    done = [answer for answer in ask(options(small), requests) if answer.finish_reason == "stop"]
    assert done
    for answer in done:
        check_fits(json.loads(answer.text), schema)


def test_tiny_fills_a_record() -> None:
    schema = record(score={"type": "integer", "minimum": 1, "maximum": 5}, reason={"type": "string", "maxLength": 80})
    answers = ask(
        options("tiny"),
        [Request(user("Grade: 1+1=2"), Sampling(max_tokens=200, seed=n), schema=schema) for n in range(4)],
    )
    for answer in answers:
        check_fits(json.loads(answer.text), schema)


def allows(weights: Weights, schema: Mapping[str, Any], value: str) -> bool:
    """Whether the grammar of {"v": schema} takes a text, token by token, to its end."""
    grammar = weights.grammar(gbnf(record(v=schema)))
    try:
        for token in weights.tokenize(f'{{"v": {value}}}'):
            if not grammar.allows(token):
                return False
            grammar.accept(token)
        return grammar.allows(weights.eos)
    finally:
        grammar.close()


STRING = {"type": "string"}
DATE, CLOCK = {"type": "string", "format": "date"}, {"type": "string", "format": "time"}
MOMENT, UUID = {"type": "string", "format": "date-time"}, {"type": "string", "format": "uuid"}
RANGE = {"type": "integer", "minimum": -12, "maximum": 1305}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (DATE, ["2024-02-29", "2000-02-29", "1999-12-31", "0001-01-01"], ["2023-02-29", "1900-02-29", "2024-04-31"]),
        (DATE, ["9999-09-30"], ["0000-01-01", "2024-13-01", "2024-00-10", "2024-1-1", "24-01-01"]),
        (CLOCK, ["00:00:00", "23:59:59.999999"], ["24:00:00", "12:60:00", "12:00", "12:00:00.1234567"]),
        (
            MOMENT,
            ["2024-02-29T10:00:00", "2024-01-01T10:00:00.5Z", "2024-01-01T10:00:00+05:30"],
            ["2024-01-01 10:00:00"],
        ),
        (
            UUID,
            ["123e4567-e89b-12d3-a456-426614174000"],
            ["123e4567e89b12d3a456426614174000", "g23e4567-e89b-12d3-a456-4266"],
        ),
        (
            STRING,
            ["", "é🦆", r"\"\\\n\u00e9", r"\ud83e\udd86"],
            [r"\u0000", r"\ud83e", r"\udd86", r"\x41", "\n", "\x7f"],
        ),
    ],
)
def test_strings_of_a_format(weights: Weights, schema: Mapping[str, Any], good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not allows(weights, schema, f'"{text}"')] == []
    assert [text for text in bad if allows(weights, schema, f'"{text}"')] == []


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (INTEGER, ["0", "-1", "12345678901234567890"], ["01", "-0", "1.0", "123456789012345678901", "+1"]),
        (NUMBER, ["0", "-1.5", "0.001", "100"], ["01", "1.", ".5", "1e5", "NaN", "1" * 16, "0." + "1" * 16]),
        (RANGE, ["-12", "-1", "0", "7", "999", "1305"], ["-13", "-100", "1306", "2000", "-0", "007", "13050"]),
        ({"type": "integer", "minimum": 5}, ["5", "10", "99999999999999999999"], ["4", "0", "-5"]),
        ({"type": ["integer", "null"]}, ["3", "null"], ["true", '"3"']),
        ({"type": "array", "items": INTEGER}, ["[]", "[1]", "[1, 2, 3]"], ["[1,2]", "[1, ]", "[ 1]"]),
        ({}, ['{"a": [1, "x", null, {}]}', "[]", "true"], ["{", "[1,2]"]),
    ],
)
def test_other_values(weights: Weights, schema: Mapping[str, Any], good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not allows(weights, schema, text)] == []
    assert [text for text in bad if allows(weights, schema, text)] == []


def test_ranges_of_whole_numbers_are_exact() -> None:
    draw = random.Random(0)
    pairs = [(draw.randint(-1200, 1200), draw.randint(-1200, 1200)) for _ in range(150)]
    for low, high in [(0, 0), (1, 5), (-1, 1), (-128, 127), (0, 255), (99, 101), *map(sorted, pairs)]:
        body = "|".join(_between(low, high))
        pattern = re.compile(re.sub(r'[" ]', "", body))
        assert [n for n in range(-1300, 1300) if pattern.fullmatch(str(n))] == list(range(low, high + 1))


def test_a_deep_or_wide_schema_becomes_a_grammar(weights: Weights) -> None:
    schema: dict[str, Any] = INTEGER
    for _ in range(60):
        schema = record(a=schema)
    weights.grammar(gbnf(schema)).close()
    weights.grammar(gbnf(record(**{f"field {n}": SHORT for n in range(300)}))).close()
    weights.grammar(gbnf(record(label={"enum": [f"label {n}" for n in range(2000)]}))).close()


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "string", "pattern": "a+"}, "pattern"),
        ({"type": "string", "format": "email"}, "email"),
        ({"type": "integer", "multipleOf": 2}, "multipleOf"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "no whole number"),
        ({"$ref": "#/$defs/x"}, "ref"),
        ({"enum": []}, "allows nothing"),
        ({"type": "array", "items": INTEGER, "minItems": 5000}, "1000 items"),
        ({"type": "object", "properties": {"a": INTEGER}, "required": []}, "require them all"),
    ],
)
def test_a_schema_that_cannot_be_kept_is_an_error(small: Path, schema: Mapping[str, Any], message: str) -> None:
    with pytest.raises(GrammarError, match=re.escape(message)):
        gbnf(record(v=schema))
    error = failure(options(small), Request(user("x"), schema=record(v=schema)))
    assert (error.kind, error.fatal) == ("invalid_request", False)
    assert message in error.message


def test_endless_nesting_is_an_error() -> None:
    schema: dict[str, Any] = INTEGER
    for _ in range(100_000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(GrammarError, match="too deep"):
        gbnf(record(v=schema))


@pytest.mark.parametrize("text", ["root ::= missing", 'root ::= root "a"', "root ::= [", "", "nonsense"])
def test_a_bad_grammar_raises_and_does_not_crash(weights: Weights, text: str) -> None:
    with pytest.raises(LlamaError):
        weights.grammar(text)


# --- files


def damaged(folder: Path, small: Path) -> dict[str, tuple[Path, str]]:
    data = small.read_bytes()
    head = data[:4] + (3).to_bytes(4, "little")
    files = {
        "empty": (b"", "is empty"),
        "garbage": (b"\x00\x01garbage" * 100, "not a GGUF"),
        "truncated": (data[: len(data) // 2], "cut short"),
        "one byte short": (data[:-1], "cut short"),
        "head alone": (data[:20], "cut short"),
        "old": (data[:4] + (1).to_bytes(4, "little") + data[8:], "version 1"),
        "huge counts": (head + b"\xff" * 16, "cut short"),
        "huge text": (head + (1).to_bytes(8, "little") * 2 + b"\xff" * 8, "cut short"),
    }
    found = {}
    for name, (content, message) in files.items():
        path = folder / f"{name}.gguf"
        path.write_bytes(content)
        found[name] = (path, message)
    found["missing"] = (folder / "missing.gguf", "no model file")
    found["directory"] = (folder, "is a directory")
    return found


def test_a_file_that_cannot_be_is_one_sentence(folder: Path, small: Path) -> None:
    for path, message in damaged(folder, small).values():
        with pytest.raises(ModelError, match=re.escape(message)) as caught:
            check(options(path))
        assert str(path) in str(caught.value)
        error = failure(options(path), Request(user("x")))
        assert (error.kind, error.fatal, error.message) == ("invalid_request", True, str(caught.value))


def test_every_call_on_a_broken_model_fails(folder: Path) -> None:
    async def work() -> list[Any]:
        model = LlamaModel(options(folder / "missing.gguf"))
        results = await asyncio.gather(*(model.complete(Request(user("x"))) for _ in range(5)), return_exceptions=True)
        results += await asyncio.gather(model.complete(Request(user("x"))), return_exceptions=True)
        await model.close()
        return results

    assert all(isinstance(result, CallError) and result.fatal for result in run(work()))


def test_no_damage_to_a_head_reaches_llama_cpp(folder: Path, small: Path) -> None:
    data, draw = small.read_bytes(), random.Random(0)
    path = folder / "flipped.gguf"
    for _ in range(300):
        copy = bytearray(data)
        for _ in range(draw.choice([1, 3, 20])):
            copy[draw.randrange(min(30_000, len(copy)))] = draw.randrange(256)
        path.write_bytes(copy)
        with contextlib.suppress(ModelError):
            read_header(str(path))


def test_a_file_without_a_chat_template_needs_a_prompt_format(folder: Path) -> None:
    path = made_up_gguf.write(folder / "plain.gguf", chat_template=None)
    with pytest.raises(ModelError, match="prompt_format, one of default, chatml"):
        check(options(path))
    assert "prompt_format" in failure(options(path), Request(user("x"))).message
    check(options(path, prompt_format="llama3"))
    request = Request(user("x"), Sampling(max_tokens=3))
    by_name, by_template = (
        ask(options(path, prompt_format=given), [request]) for given in ("gemma", formats.template("gemma"))
    )
    assert by_name == by_template


def test_options_are_checked() -> None:
    for given, message in (
        ({"path": ""}, "path"),
        ({"path": "x", "concurrency": 0}, "concurrency"),
        ({"path": "x", "threads": 0}, "threads"),
        ({"path": "x", "context": 3}, "context"),
        ({"path": "x", "prompt_format": "lama3"}, "llama3"),
        ({"path": "x", "prompt_format": "openai"}, "not text"),
    ):
        with pytest.raises(OptionError, match=message):
            LlamaOptions(**given)


def test_a_hub_path_is_checked_before_anything_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="hf://org/repo/file"):
        check(options("hf://org"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"distil-sql\[hub\]"):
        check(options("hf://org/repo/file.gguf"))


def test_a_models_identity_is_its_content_not_its_place(folder: Path, small: Path) -> None:
    copy = folder / "copy.gguf"
    copy.write_bytes(small.read_bytes())
    assert identity(options(copy, threads=2)) == identity(options(small, concurrency=9))
    assert identity(options(copy, prompt_format="gemma")) != identity(options(copy))
    made_up_gguf.write(copy, seed=1)
    assert identity(options(copy)) != identity(options(small))
    with pytest.raises(ModelError, match="cannot be read"):
        identity(options(folder / "missing.gguf"))


# --- imports


def test_llama_cpp_is_loaded_by_the_first_call_only() -> None:
    script = """
import sys, distil_sql.models.llama_cpp as m
m.LlamaModel(m.LlamaOptions('tiny'))
print('llama_cpp' in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "False"


def test_without_the_extra_the_import_says_what_to_install() -> None:
    script = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "llama_cpp" else found(name, *rest)
from distil_sql import tiny
from distil_sql.errors import MissingExtra
try:
    import distil_sql.models.llama_cpp
except MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "pip install 'distil-sql[llama]'" in done.stdout
