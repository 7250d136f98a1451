"""Closing, cancelling, forking, ending."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install 'distil-sql[llama]'")
pytest.importorskip("gguf", reason="gguf is not installed: pip install 'distil-sql[test]'")

from distil_sql.models.base import CallError, Completion, Request, Sampling
from distil_sql.models.llama_cpp import LlamaModel
from tests.llama.asking import (
    options,
    run,
    user,
)


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
