"""Models that share weights, take turns in memory, and embed; rows in an order that computes least."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install 'distil-sql[llama]'")
pytest.importorskip("gguf", reason="gguf is not installed: pip install 'distil-sql[test]'")

from distil_sql import models
from distil_sql.cli import options as cli_options
from distil_sql.models.base import CallError, Completion, Message, Request, Sampling
from distil_sql.models.llama_cpp import LlamaModel
from distil_sql.models.llama_cpp import room as room_module
from distil_sql.models.llama_cpp.rows import Row
from distil_sql.models.llama_cpp.sampling import Sampler
from distil_sql.models.llama_cpp.shelf import SHELF
from distil_sql.models.llama_cpp.waiting import Waiting
from tests import made_up_gguf
from tests.benchmarks.llama_watch import watched
from tests.benchmarks.row_by_row import RowByRow
from tests.command import distil
from tests.llama.asking import ask, failure, options, run, user

SHORT_ANSWER = Sampling(max_tokens=4, temperature=0)


def test_models_of_one_file_share_its_weights(small: Path) -> None:
    async def work() -> tuple[int, list[Completion]]:
        first, second = LlamaModel(options(small)), LlamaModel(options(small, concurrency=2))
        answers = await asyncio.gather(*(m.complete(Request(user("hi"), SHORT_ANSWER)) for m in (first, second)))
        held = len(SHELF._copies)
        await first.close()
        answers.append(await second.complete(Request(user("hi"), SHORT_ANSWER)))
        await second.close()
        return held, answers

    before = len(SHELF._copies)  # those of sessions that are still open
    held, answers = run(work())
    assert held == before + 1
    assert len({answer.text for answer in answers}) == 1
    assert len(SHELF._copies) == before


def test_models_take_turns_within_the_memory_they_may_take(
    folder: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = made_up_gguf.write(folder / "other.gguf", seed=3)
    most = 0

    async def context_bytes() -> int:
        model = LlamaModel(options(small, concurrency=2))
        await model.complete(Request(user("0"), SHORT_ANSWER))
        found = model.context_bytes
        await model.close()
        return found

    # room for one of them with its context, not for the weights of two beside that
    monkeypatch.setattr(models, "max_model_memory", int(1.5 * small.stat().st_size) + run(context_bytes()))

    async def work() -> list[Completion]:
        nonlocal most
        loaded = [LlamaModel(options(path, concurrency=2)) for path in (small, other)]
        answers = []
        for turn in range(4):
            calls = [loaded[turn % 2].complete(Request(user(f"{n}"), SHORT_ANSWER)) for n in range(3)]
            answers += await asyncio.gather(*calls)
            most = max(most, len(SHELF._copies))
        both = [m.complete(Request(user("both"), SHORT_ANSWER)) for m in loaded]
        answers += await asyncio.gather(*both)
        for model in loaded:
            await model.close()
        return answers

    assert len(run(work())) == 14
    assert most == 1
    assert not SHELF._copies


def test_a_model_larger_than_it_may_be_is_an_error(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "max_model_memory", 1000)
    error = failure(options(small), Request(user("hi")))
    assert error.fatal
    assert "models may take 0.0 MB together" in error.message


@pytest.mark.parametrize(
    ("text", "size"), [("8GB", 8 * 10**9), ("1.5 MiB", 3 * 2**19), ("64k", 64_000), ("1000", 1000), ("2g", 2 * 10**9)]
)
def test_an_amount_of_memory_is_read(text: str, size: int) -> None:
    assert cli_options.size(text) == size


def test_the_command_line_limits_what_models_take(tmp_path: Path) -> None:
    script = tmp_path / "script.sql"
    script.write_text("CREATE MODEL generator (TYPE llama_cpp, path 'tiny'); SELECT text_generation('Name a fruit.');")
    command = ["run", str(script), "-d", str(tmp_path / "data.duckdb"), "-q", "--max-model-memory"]
    refused = distil(*command, "1MB")
    assert refused.returncode != 0
    assert "models may take 1.0 MB together" in refused.stderr
    assert distil(*command, "100MB").returncode == 0


# --- embeddings


def embedded(path: Path, texts: list[str], **given: Any) -> list[list[float]]:
    async def work() -> list[list[float]]:
        model = LlamaModel(options(path, **given))
        try:
            return await model.embed(texts)
        finally:
            await model.close()

    return run(work())


def test_embeddings_are_those_of_the_high_level_api(small: Path) -> None:
    import llama_cpp

    draw = random.Random(0)
    texts = [" ".join(draw.choice("abcdefg") for _ in range(draw.choice([1, 5, 90, 300]))) for _ in range(40)]
    found = embedded(small, texts)
    other = RowByRow(
        small, threads=1, context=1024, embedding=True, pooling_type=llama_cpp.LLAMA_POOLING_TYPE_MEAN
    ).model
    for text, vector in zip(texts, found, strict=True):
        assert math.isclose(sum(x * x for x in vector), 1, rel_tol=1e-4)
        alike = sum(x * y for x, y in zip(vector, other.embed(text, normalize=True), strict=True))
        assert alike > 0.99  # it uses flash attention, which rounds otherwise


def test_a_texts_vector_does_not_depend_on_the_others(small: Path) -> None:
    draw = random.Random(1)
    texts = [" ".join(draw.choice("abcdefg") for _ in range(length)) for length in (1, 2, 3, 40, 150, 151, 400)]
    texts += [draw.choice("abc") for _ in range(100)]

    async def work() -> list[list[float]]:
        model = LlamaModel(options(small))
        try:
            return [(await model.embed([text]))[0] for text in texts]  # each alone, in a context that grows
        finally:
            await model.close()

    for alone, together in zip(run(work()), embedded(small, texts), strict=True):
        assert max(abs(x - y) for x, y in zip(alone, together, strict=True)) < 1e-4


def test_embedding_takes_no_more_memory_than_there_is(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_module, "available_bytes", lambda: 6_000_000)
    assert len(embedded(small, ["a b", "c " * 300])) == 2
    with pytest.raises(CallError, match=r"no memory to read a text of \d+ tokens whole: cut it") as caught:
        embedded(small, ["a b", "c " * 1000])
    assert caught.value.kind == "context_length"


def test_closing_ends_an_embedding_at_once(tmp_path: Path) -> None:
    path = made_up_gguf.write(tmp_path / "slow.gguf", **made_up_gguf.SIZES["10M"])

    async def work() -> tuple[list[Any], float]:
        model = LlamaModel(options(path))
        await model.embed(["a"])
        asked = asyncio.ensure_future(model.embed(["a " * 1000] * 64))  # more than ten seconds
        await asyncio.sleep(0.3)
        started = time.perf_counter()
        await model.close()
        took = time.perf_counter() - started
        return list(await asyncio.gather(asked, return_exceptions=True)), took

    (failed,), took = run(work())
    assert isinstance(failed, CallError)
    assert "closed" in failed.message
    assert took < 2


def test_a_text_too_long_to_embed_is_named_and_other_work_goes_on(folder: Path) -> None:
    path = made_up_gguf.write(folder / "plain_embedder.gguf", chat_template=None)

    async def work() -> Any:
        model = LlamaModel(options(path))
        try:
            return await asyncio.gather(
                model.embed(["a", "b c " * 3000]), model.embed(["a"]), model.embed([]), return_exceptions=True
            )
        finally:
            await model.close()

    failed, one, none = run(work())
    assert isinstance(failed, CallError)
    assert "text 1 has" in failed.message
    assert (len(one), none) == (1, [])


def test_pooling_changes_a_vector(small: Path) -> None:
    mean, last = (embedded(small, ["a b c d e"], pooling=pooling)[0] for pooling in ("mean", "last"))
    assert mean != last


# --- order


def test_rows_that_begin_alike_are_taken_one_after_the_other() -> None:
    draw = random.Random(0)
    rows = [
        Row([group, *(draw.randrange(9) for _ in range(5))], 1, Sampler(Sampling(), 0, []), print)
        for group in range(5)
        for _ in range(20)
    ]
    waiting = Waiting()
    draw.shuffle(rows)
    for row in rows[:50]:
        waiting.add(row)
    taken = [waiting.pop() for _ in range(10)]
    for row in rows[50:]:
        waiting.add(row)
    taken += [waiting.pop() for _ in range(len(waiting))]
    assert sorted(map(id, taken)) == sorted(map(id, rows))
    switches = sum(one.tokens[0] != other.tokens[0] for one, other in itertools.pairwise(taken))
    assert switches <= 6


def test_a_shuffled_table_computes_hardly_more_than_a_sorted_one(small: Path) -> None:
    systems = [{"role": "system", "content": f"{n} " + "a b c d " * 30} for n in range(4)]

    def computed(order: list[int]) -> int:
        messages: list[tuple[Message, ...]] = [(systems[n % 4], *user(f"{n}")) for n in order]  # type: ignore[misc]
        answers = ask(options(small), [Request(m, SHORT_ANSWER) for m in messages])
        return sum(answer.input_tokens - answer.cached_tokens for answer in answers)

    ordered = sorted(range(40), key=lambda n: n % 4)
    assert computed(random.Random(0).sample(ordered, 40)) <= 1.1 * computed(ordered)


def test_all_sequences_are_busy_while_short_rows_come_and_go(small: Path) -> None:
    requests = [Request(user(f"{n}"), Sampling(max_tokens=5, temperature=0)) for n in range(400)]
    with watched() as watch:
        ask(options(small, concurrency=8), requests)
    assert watch.rows_a_decode >= 0.9 * 8


def test_the_first_row_is_done_before_the_last_prompt_is_read(small: Path) -> None:
    done: list[int] = []

    async def work() -> None:
        model = LlamaModel(options(small, concurrency=2))

        async def one(number: int) -> None:
            await model.complete(Request(user(f"{number} " + "a " * 100), SHORT_ANSWER))
            done.append(model._loaded is not None and len(model._loaded.batch._waiting))

        await asyncio.gather(*(one(number) for number in range(20)))
        await model.close()

    run(work())
    assert done[0] > 0
    assert done[-1] == 0
