"""Closing, cancelling, forking, ending."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install 'distil-sql[llama]'")
pytest.importorskip("gguf", reason="gguf is not installed: pip install 'distil-sql[test]'")

from distil_sql.models.base import CallError, Completion, Request, Sampling
from distil_sql.models.llama_cpp import LlamaModel
from tests.benchmarks.llama_watch import watched
from tests.llama.asking import options, record, run, user


def test_close_stops_a_running_decode(slow: Path) -> None:
    async def work() -> BaseException | Completion:
        model = LlamaModel(options(slow))
        call = asyncio.ensure_future(model.complete(Request(user("a b c " * 2000), Sampling(max_tokens=400))))
        while watch.all_decodes < 2 and not call.done():
            await asyncio.sleep(0.01)
        await model.close()
        (result,) = await asyncio.gather(call, return_exceptions=True)
        return result

    with watched() as watch:
        result = run(work())
    assert isinstance(result, CallError)
    assert "closed" in result.message
    assert watch.all_decodes < 10  # of 24 for the prompt, and 400 for the answer


ENDLESS = record(t={"type": "string", "minLength": 1000})


def test_a_cancelled_call_frees_its_row(slow: Path) -> None:
    async def work() -> None:
        model = LlamaModel(options(slow, concurrency=1))
        await model.complete(Request(user("warm"), Sampling(max_tokens=1)))
        endless = [
            asyncio.ensure_future(model.complete(Request(user(f"{n}"), Sampling(max_tokens=7000), schema=ENDLESS)))
            for n in range(3)
        ]
        while watch.all_decodes < 5 and not endless[0].done():
            await asyncio.sleep(0.01)
        for call in endless:
            call.cancel()
        await model.complete(Request(user("after"), Sampling(max_tokens=2)))
        assert all(
            isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*endless, return_exceptions=True)
        )
        await model.close()

    with watched() as watch:
        run(work())
    assert watch.all_decodes < 500  # the answers that nobody waits for would have taken 21,000


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


def test_an_abort_inside_the_library_ends_the_models_calls_and_not_the_process(small: Path) -> None:
    bad = small.with_name("aborts.gguf")
    bad.write_bytes(small.read_bytes().replace(b"<0x41>", b"<0x42>", 1))
    script = f"""
import asyncio
from distil_sql.models.base import Request, Sampling
from distil_sql.models.llama_cpp import LlamaModel, LlamaOptions, shelf
shelf.probe = lambda *_: None  # which would have found it
request = Request(({{"role": "user", "content": "hi"}},), Sampling(max_tokens=3))
async def main():
    bad, good = (LlamaModel(LlamaOptions(path)) for path in ({str(bad)!r}, {str(small)!r}))
    for _ in range(2):
        asked = [bad.complete(request), good.complete(request), bad.complete(request)]
        first, other, again = await asyncio.gather(*asked, return_exceptions=True)
        print(first.fatal, str(first) == str(again), other.output_tokens, first)
    await bad.close()
    await good.close()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"True True 3 llama.cpp failed on the model {bad} (llama-vocab.cpp") for line in lines)
