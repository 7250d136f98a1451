"""Where answers and prompts end: tokens, context, memory."""

from __future__ import annotations

import asyncio
import mmap
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install 'distil-sql[llama]'")
pytest.importorskip("gguf", reason="gguf is not installed: pip install 'distil-sql[test]'")

from distil_sql.models.base import CallError, Completion, Request, Sampling
from distil_sql.models.llama_cpp import LlamaModel, machine
from distil_sql.models.llama_cpp import room as room_module
from distil_sql.models.llama_cpp import shelf as shelf_module
from distil_sql.models.llama_cpp.api import Context, LlamaError, Weights
from tests import made_up_gguf
from tests.llama.asking import ask, failure, options, run, user


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


def test_a_context_that_finds_no_memory_is_made_with_fewer_sequences(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, tried = Weights.context, list[int]()

    def only_four(weights: Weights, **given: Any) -> Context:
        tried.append(given["sequences"])
        if given["sequences"] > 4:
            raise LlamaError("there is no memory")
        return make(weights, **given)

    monkeypatch.setattr(Weights, "context", only_four)
    request = Request(user("hello"), Sampling(max_tokens=5, temperature=0))
    assert len(ask(options(small, concurrency=16), [request] * 20)) == 20
    assert tried == [16, 8, 4]


def test_a_model_larger_than_memory_is_not_loaded(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf_module, "available_bytes", lambda: 1000)
    error = failure(options(small), Request(user("x")))
    assert error.fatal
    assert str(small) in error.message


def test_available_memory_is_a_number_of_bytes() -> None:
    free = machine.available_bytes()
    assert free is None or free > 10_000_000


def resident(file: Path) -> int:
    """kB of a mapped file in this process's memory."""
    parts = Path("/proc/self/smaps").read_text().split(f" {file}\n")
    return sum(int(after.partition("Rss:")[2].split()[0]) for after in parts[1:])


linux = pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells what is mapped")


@linux
def test_a_file_that_was_read_does_not_stay_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_bytes(bytes(range(256)) * 4096)

    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[::4096]) == 0
        assert resident(file) == 1024
        paths = [str(tmp_path / ".." / tmp_path.name / "a file")]
        machine.Pages(paths).forget()
        assert resident(file) == 1024  # it was mapped before
    pages = machine.Pages(paths)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[::4096]) == 0
        assert resident(file) == 1024
        pages.forget()
        assert resident(file) == 0
        assert mapped[255] == 255


@linux
def test_a_model_does_not_stay_in_memory_twice(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget, left = machine.Pages.forget, list[int]()

    def forget_and_look(pages: machine.Pages) -> None:
        forget(pages)
        left.append(resident(small))

    monkeypatch.setattr(machine.Pages, "forget", forget_and_look)
    assert ask(options(small), [Request(user("x"), Sampling(max_tokens=2))])
    assert len(left) > 1  # while it was read, and when it was
    assert not any(left)
