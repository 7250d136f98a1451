"""Closing, cancelling, forking, ending."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install 'distil-sql[llama]'")
pytest.importorskip("gguf", reason="gguf is not installed: pip install 'distil-sql[test]'")

from distil_sql.models.base import CallError, Completion, Request, Sampling
from distil_sql.models.llama_cpp import LlamaModel
from tests import made_up_gguf
from tests.benchmarks.llama_watch import watched
from tests.command import query, start
from tests.llama.asking import failure, options, record, run, user


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


def test_an_interrupted_run_ends_in_the_middle_of_an_answer_and_keeps_what_is_finished(
    folder: Path, tmp_path: Path
) -> None:
    path = made_up_gguf.write(
        folder / "endless.gguf", width=512, layers=8, hidden=2048, context=8192, endless=True
    )  # 7,000 tokens of it take a minute and more
    model = f"(TYPE llama_cpp, path '{path}', threads 1, concurrency 2, max_tokens"
    script, database = tmp_path / "p.sql", tmp_path / "data.duckdb"
    script.write_text(f"""
CREATE MODEL generator {model} 2);
CREATE MODEL slow {model} 7000);
CREATE TABLE a AS SELECT text_generation('say ' || i) AS x FROM range(3) t(i);
CREATE TABLE b AS SELECT text_generation('go on ' || i, model := 'slow') AS x FROM range(4) t(i);
""")
    status = Path(f"{database}.status.json")
    with start("run", script, "-d", database, XDG_CACHE_HOME=str(tmp_path)) as process:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
            if status.exists() and json.loads(status.read_text())["statements"][-1]["calls_total"]:
                break
        time.sleep(0.5)  # the model has been asked, and answers
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        _, err = process.communicate(timeout=60)
        seconds = time.monotonic() - begun
    assert (process.returncode, seconds < 4.0, "Traceback" in err) == (130, True, False), err
    said = f"error: interrupted; everything finished is kept. To go on: distil-sql run {script} -d {database}"
    assert err.splitlines()[-1] == said
    assert query(database, "SELECT status, count(*) FROM distil.calls GROUP BY ALL") == [("ok", 3)]
    assert query(database, "SELECT state FROM distil.runs") == [("interrupted",)]
    assert query(database, "SELECT count(x) FROM a") == [(3,)]


def test_a_process_may_fork_after_an_answer_and_go_on(small: Path) -> None:
    script = f"""
import asyncio, os
from distil_sql.models.base import CallError, Request, Sampling
from distil_sql.models.llama_cpp import LlamaModel, LlamaOptions, shelf
shelf.probe = lambda *_: None
model = LlamaModel(LlamaOptions({str(small)!r}, threads=2, concurrency=2))
request = Request(({{"role": "user", "content": "hi"}},), Sampling(max_tokens=5, temperature=0))
first = asyncio.run(model.complete(request)).text
child = os.fork()
if not child:
    try:
        asyncio.run(model.complete(request))
    except CallError as error:
        print(error.fatal, error, flush=True)
    asyncio.run(model.close())
else:
    print(os.waitpid(child, 0)[1], asyncio.run(model.complete(request)).text == first)
    asyncio.run(model.close())
"""
    command = [sys.executable, "-W", "ignore", "-c", script]  # newer Pythons warn of any fork beside a thread
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "True an embedded model does not survive a fork: start processes with spawn",
        "0 True",
    ]


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


# --- files of models that do not chat


def of_architecture(path: Path, other: Path, name: str) -> Path:
    """A copy of another file that says it is of this architecture: five letters as `llama`, so that nothing moves."""
    data, key = other.read_bytes(), b"general.architecture" + (8).to_bytes(4, "little")
    old, new = (key + len(text).to_bytes(8, "little") + text for text in (b"llama", name.encode()))
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new).replace(b"llama.", name.encode() + b"."))
    return path


def encoder(path: Path, template: str | None = None) -> Path:
    """The least BERT: it makes vectors, and no text."""
    import gguf
    import numpy as np

    pieces, width = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"▁{letter}" for letter in "abcdefgh")], 32
    writer = gguf.GGUFWriter(str(path), "bert")
    writer.add_context_length(128)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(width)
    writer.add_block_count(1)
    writer.add_head_count(2)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(pieces)
    writer.add_token_types([3] * 5 + [1] * (len(pieces) - 5))
    writer.add_token_type_count(2)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_unk_token_id(1)
    writer.add_sep_token_id(3)
    writer.add_pad_token_id(0)
    if template is not None:
        writer.add_chat_template(template)
    shapes: dict[str, tuple[int, ...]] = {"token_types": (2, width), "position_embd": (128, width)}
    shapes["token_embd"] = (len(pieces), width)
    for name in shapes:
        writer.add_tensor(f"{name}.weight", np.ones(shapes[name], np.float32))
    shapes = {"token_embd_norm": (width,), "blk.0.attn_output_norm": (width,), "blk.0.layer_output_norm": (width,)}
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"):
        shapes[f"blk.0.{name}"] = (width, width)
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", np.ones(shape, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_model_of_an_unknown_architecture_is_one_sentence(folder: Path, small: Path) -> None:
    path = of_architecture(folder / "unknown.gguf", small, "nonse")
    error = failure(options(path), Request(user("x")))
    assert (error.kind, error.fatal) == ("invalid_request", True)
    assert error.message == (
        f"the model file {path} (nonse): llama.cpp cannot load it: it is damaged, or of an architecture this version "
        "does not know"
    )


def test_an_encoder_is_asked_for_vectors_only(folder: Path) -> None:
    path = encoder(folder / "encoder.gguf")

    async def vectors() -> list[list[float]]:
        model = LlamaModel(options(path))
        try:
            return list(await model.embed(["abc", "de"]))
        finally:
            await model.close()

    assert [len(vector) for vector in run(vectors())] == [32, 32]
    for given in ({}, {"prompt_format": "chatml"}):
        error = failure(options(path, **given), Request(user("x")))
        assert (error.kind, error.fatal) == ("invalid_request", True)
        assert error.message == f"the model file {path} is not of a chat model"
