"""Damaged files, odd options, absent packages: one sentence each."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install 'distil-sql[llama]'")
pytest.importorskip("gguf", reason="gguf is not installed: pip install 'distil-sql[test]'")

from distil_sql.errors import MissingExtra, ModelError, OptionError
from distil_sql.models.base import CallError, Request, Sampling
from distil_sql.models.llama_cpp import LlamaModel, LlamaOptions, check, identity
from distil_sql.models.llama_cpp.header import read_header
from distil_sql.prompt import formats
from tests import made_up_gguf
from tests.llama.asking import ask, failure, options, run, user


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


def test_a_file_that_makes_llama_cpp_abort_is_one_sentence(folder: Path, small: Path, probed: Path) -> None:
    path = folder / "hostile.gguf"
    path.write_bytes(small.read_bytes().replace(b"<0x41>", b"<0x42>", 1))
    error = failure(options(path), Request(user("x")))
    assert error.fatal
    assert f"the model file {path} makes llama.cpp crash (GGML_ASSERT" in error.message


def test_a_file_that_has_run_is_not_probed_again(
    folder: Path, small: Path, probed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(user("x"), Sampling(max_tokens=1))
    ask(options(small), [request])
    monkeypatch.setattr(subprocess, "run", None)
    ask(options(small), [request])
    path = made_up_gguf.write(folder / "unseen.gguf", seed=9)
    assert "NoneType" in failure(options(path), request).message


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
