"""Rows a second of the embedded model against llama-cpp-python's high-level API, row by row, in one run.

    python -m tests.benchmarks.bench_llama                       # a small model, a minute
    python -m tests.benchmarks.bench_llama --size 135M --rows 64

Weights are made up, answers greedy; every row shares the beginning of its prompt with the others. Each side answers a
part of the rows, then the other does, in turns, so that a neighbour's load falls on both.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from distil_sql.models.base import Completion, Request, Sampling
from distil_sql.models.llama_cpp import LlamaModel, LlamaOptions
from distil_sql.models.llama_cpp.api import HAS_AMX
from distil_sql.models.llama_cpp.options import processors
from tests import made_up_gguf


@click.command()
@click.option("--size", type=click.Choice(list(made_up_gguf.SIZES)), default="10M", show_default=True)
@click.option("--quantisation", type=click.Choice(["q8_0", "q4_0", "f16"]), default="q8_0", show_default=True)
@click.option("--rows", default=64, show_default=True)
@click.option("--concurrency", default=16, show_default=True)
@click.option("--shared", default=300, show_default=True, help="Tokens that all prompts begin with (about).")
@click.option("--own", default=50, show_default=True, help="Tokens of a prompt's own (about).")
@click.option("--answer", default=64, show_default=True, help="Most tokens of an answer.")
@click.option("--threads", default=processors(), show_default=True)
@click.option("--turns", default=2, show_default=True)
def main(
    size: str,
    quantisation: str,
    rows: int,
    concurrency: int,
    shared: int,
    own: int,
    answer: int,
    threads: int,
    turns: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = made_up_gguf.write(
            Path(folder) / "model.gguf", quantisation=quantisation, context=2048, **made_up_gguf.SIZES[size]
        )
        requests = prompts(rows, shared, own, answer)
        by_row = RowByRow(path, threads, context=2 * (shared + own + answer))
        with asyncio.Runner() as runner:
            model = LlamaModel(LlamaOptions(str(path), concurrency=concurrency, threads=threads))
            runner.run(batched(model, requests[:concurrency]))  # both are warm
            by_row.answer(requests[0])
            took = {"row by row": 0.0, "batched": 0.0}
            tokens = {"row by row": 0, "batched": 0}
            for turn in range(turns):
                part = requests[turn::turns]
                started = time.perf_counter()
                one = [by_row.answer(request) for request in part]
                took["row by row"] += time.perf_counter() - started
                started = time.perf_counter()
                many = runner.run(batched(model, part))
                took["batched"] += time.perf_counter() - started
                tokens["row by row"] += sum(count for _, count in one)
                tokens["batched"] += sum(completion.output_tokens for completion in many)
            runner.run(model.close())
    click.echo(
        f"{size} {quantisation}, {rows} rows of {shared}+{own} tokens, {concurrency} sequences, {threads} threads"
    )
    for name, seconds in took.items():
        speed = tokens[name] / seconds
        click.echo(f"{name:>10}: {seconds:7.2f} s  {rows / seconds:7.2f} rows/s  {speed:8.1f} output tokens/s")
    click.echo(f"     ratio: {took['row by row'] / took['batched']:.2f}")


def prompts(rows: int, shared: int, own: int, answer: int) -> list[Request]:
    draw = random.Random(0)

    def words(count: int) -> str:
        return " ".join(draw.choice("bcdfghjklmnprstvwz") + draw.choice("aeiou") for _ in range(count))

    system = {"role": "system", "content": words(shared - 10)}
    sampling = Sampling(temperature=0, max_tokens=answer)
    return [Request((system, {"role": "user", "content": words(own - 10)}), sampling) for _ in range(rows)]


async def batched(model: LlamaModel, requests: Sequence[Request]) -> list[Completion]:
    return list(await asyncio.gather(*(model.complete(request) for request in requests)))


class RowByRow:
    """llama-cpp-python as its README shows it."""

    def __init__(self, path: Path, threads: int, context: int) -> None:
        import llama_cpp

        if HAS_AMX:  # the same guard as in `api`: some builds crash there
            defaults = llama_cpp.llama_model_default_params

            def guarded() -> Any:
                params = defaults()
                params.use_extra_bufts = False
                return params

            llama_cpp.llama_cpp.llama_model_default_params = guarded
        self._model = llama_cpp.Llama(
            str(path), n_ctx=context, n_threads=threads, n_threads_batch=threads, verbose=False
        )

    def answer(self, request: Request) -> tuple[str, int]:
        reply: Any = self._model.create_chat_completion(
            [dict(message) for message in request.messages],
            temperature=0,
            max_tokens=request.sampling.max_tokens,
        )
        return reply["choices"][0]["message"]["content"], reply["usage"]["completion_tokens"]


if __name__ == "__main__":
    main()
