"""Damaged files, odd options, absent packages: one sentence each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import shutil
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
from distil_sql.models.llama_cpp.api import Weights
from distil_sql.models.llama_cpp.files import read_model
from distil_sql.models.llama_cpp.room import Allowance, Room
from distil_sql.prompt import formats
from tests import made_up_gguf
from tests.llama.asking import ask, failure, options, run, user
from tests.llama.file_hub import FileHub


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
    assert f"the model file {path} makes llama.cpp crash (llama-vocab.cpp:" in error.message
    assert "GGML_ASSERT" in error.message


def test_a_file_that_has_run_is_not_probed_again(
    folder: Path, small: Path, probed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(user("x"), Sampling(max_tokens=1))
    ask(options(small), [request])
    monkeypatch.setattr(subprocess, "Popen", None)
    ask(options(small), [request])
    path = made_up_gguf.write(folder / "unseen.gguf", seed=9)
    assert "NoneType" in failure(options(path), request).message


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(9999 if messages | length > 3 else 0) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ ('a' * 10000000000) | length }}",
    ],
    ids=["endless", "endless when asked again", "huge"],
)
def test_a_chat_template_that_comes_to_no_end_is_one_sentence(folder: Path, probed: Path, template: str) -> None:
    path = made_up_gguf.write(folder / "template.gguf", chat_template=template)
    error = failure(options(path), Request(user("x")))
    assert error.message.startswith(f"the model file {path} has a chat template that comes to no end")


def test_a_chat_template_that_fails_is_one_sentence(folder: Path) -> None:
    path = made_up_gguf.write(folder / "fails.gguf", chat_template="{{ messages[0]['content'] + 1 }}")
    error = failure(options(path), Request(user("x")))
    assert error.message.startswith("the model's chat template refuses these messages: TypeError")
    assert not error.fatal


# --- parts


@pytest.fixture(scope="module")
def parts(folder: Path) -> list[Path]:
    first = made_up_gguf.write(folder / "parts.gguf", parts=3)
    return [first.with_name(first.name.replace("-00001-", f"-0000{number}-")) for number in (1, 2, 3)]


def test_a_model_in_parts_is_one_model(folder: Path, small: Path, parts: list[Path]) -> None:
    request = Request(user("x"), Sampling(max_tokens=9, temperature=0))
    (whole,) = ask(options(small), [request])
    for path in parts[:2]:  # any of their names stands for all
        assert ask(options(path), [request]) == [whole]
        assert identity(options(path)) == identity(options(parts[0]))
    copies = [Path(shutil.copy(path, path.with_name(path.name.replace("parts", "copy")))) for path in parts]
    assert identity(options(copies[0])) == identity(options(parts[0]))
    copies[2].write_bytes(copies[2].read_bytes()[:-1] + b"x")
    assert identity(options(copies[0])) != identity(options(parts[0]))


def test_a_part_that_is_missing_damaged_or_misnamed_is_one_sentence(folder: Path, parts: list[Path]) -> None:
    copies = [Path(shutil.copy(path, path.with_name(path.name.replace("parts", "faulty")))) for path in parts]
    alone = Path(shutil.copy(parts[0], folder / "renamed.gguf"))
    with pytest.raises(ModelError, match=r"renamed.gguf is one of 3 parts, .*renamed-00001-of-00003.gguf"):
        check(options(alone))
    shutil.copy(parts[2], copies[1])
    with pytest.raises(ModelError, match=r"faulty-00002-of-00003.gguf is part 3 of 3 by its content"):
        check(options(copies[0]))
    copies[1].write_bytes(parts[1].read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"faulty-00002-of-00003.gguf is damaged or cut short"):
        check(options(copies[0]))
    copies[1].unlink()
    with pytest.raises(ModelError, match=f"has 3 parts, and part 2 is missing: {copies[1]}") as caught:
        check(options(copies[0]))
    assert failure(options(copies[0]), Request(user("x"))).message == str(caught.value)


def test_parts_are_fetched_from_the_hub_together(folder: Path, parts: list[Path]) -> None:
    with FileHub(folder) as hub:
        script = """
import asyncio
from distil_sql.models.base import CallError, Request, Sampling
from distil_sql.models.llama_cpp import LlamaModel, LlamaOptions, check, shelf
shelf.probe = lambda *_: None
request = Request(({"role": "user", "content": "hi"},), Sampling(max_tokens=3))
async def main():
    for name in ("parts-00001-of-00003.gguf", "absent.gguf"):
        options = LlamaOptions("hf://org/repo/" + name)
        check(options)
        model = LlamaModel(options)
        try:
            print((await model.complete(request)).output_tokens)
        except CallError as error:
            print(error)
        await model.close()
asyncio.run(main())
"""
        env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=env)
    answered, refused = done.stdout.splitlines()
    assert answered == "3"
    assert refused.startswith("hf://org/repo/absent.gguf cannot be downloaded (")
    assert sorted(set(hub.fetched)) == [path.name for path in parts]


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
            read_model([str(path)])


@pytest.mark.parametrize("key", ["split.count", "split.no", "general.alignment"])
@pytest.mark.parametrize("value", ["abc", float("inf")])
def test_an_entry_of_the_wrong_kind_is_one_sentence(folder: Path, key: str, value: str | float) -> None:
    import gguf

    path = folder / "wrong_kind.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    if isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_float32(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    path.write_bytes(path.read_bytes() + bytes(64))  # where tensors would begin
    with pytest.raises(ModelError, match=f"its {key} is {value!r}"):
        read_model([str(path)])


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


def test_a_smaller_cache_is_another_call_and_has_room_for_more(folder: Path) -> None:
    path = made_up_gguf.write(folder / "heads_of_32.gguf", width=128)
    request = Request(user("hi"), Sampling(max_tokens=8, temperature=0))
    usual = ask(options(path), [request])
    for kind in ("f32", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"):
        (answer,) = ask(options(path, kv_cache=kind), [request])
        assert answer.input_tokens == usual[0].input_tokens
        assert identity(options(path, kv_cache=kind)) != identity(options(path))
    assert ask(options(path, kv_cache="q4_0"), [request]) != usual
    assert identity(options(path, kv_cache="f16")) == identity(options(path))
    weights = Weights(str(path))
    sizes = [
        Room(weights, 2048, False, kind, Allowance(lambda: 3_000_000)).shape(64, 512, 512)[0]
        for kind in ("f16", "q8_0", "q4_0")
    ]
    weights.close()
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_cache_that_cannot_be_is_one_sentence(small: Path) -> None:
    error = failure(options(small, kv_cache="q8_0"), Request(user("x")))  # its heads are of 16 numbers
    assert error.fatal
    assert "kv_cache q8_0 keeps 32 numbers together, and a head of the model" in error.message
    assert "has 16" in error.message


def test_options_are_checked() -> None:
    for given, message in (
        ({"path": "x", "kv_cache": "q3"}, "use f32, f16, bf16"),
        ({"path": "x", "kv_cache": "q8_0", "flash_attention": False}, "needs flash attention"),
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
