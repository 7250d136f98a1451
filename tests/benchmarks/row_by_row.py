"""The other side: llama-cpp-python as its README shows it, one prompt at a time.

`RowByRow` is it; `Apart` is it in a process of its own, which nothing of ours has touched: its threads wait for each
other as llama.cpp lets them wait by itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from distil_sql.models.base import Request


class RowByRow:
    """In this process."""

    def __init__(self, path: Path, threads: int, context: int, **given: Any) -> None:
        import llama_cpp

        if b"AMX_INT8 = 1" in llama_cpp.llama_print_system_info():  # the same guard as in `api`: some builds crash
            defaults = llama_cpp.llama_model_default_params

            def guarded() -> Any:
                params = defaults()
                params.use_extra_bufts = False
                return params

            llama_cpp.llama_cpp.llama_model_default_params = guarded
        self.model: Any = llama_cpp.Llama(
            str(path), n_ctx=context, n_threads=threads, n_threads_batch=threads, verbose=False, **given
        )

    def answer(self, request: Request) -> tuple[str, int]:
        """The answer and its tokens."""
        return self.reply([dict(message) for message in request.messages], request.sampling.max_tokens)

    def reply(self, messages: list[dict[str, str]], max_tokens: int | None) -> tuple[str, int]:
        reply: Any = self.model.create_chat_completion(messages, temperature=0, max_tokens=max_tokens)
        return reply["choices"][0]["message"]["content"], reply["usage"]["completion_tokens"]


class Apart:
    """In a process of its own."""

    def __init__(self, path: Path, threads: int, context: int, **given: Any) -> None:
        options = json.dumps({"path": str(path), "threads": threads, "context": context, **given})
        self.processor_seconds = 0.0
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.row_by_row", options],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def answer(self, request: Request) -> tuple[str, int]:
        """The answer and its tokens."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps([request.messages, request.sampling.max_tokens]) + "\n")
        self._child.stdin.flush()
        text, tokens, self.processor_seconds = json.loads(self._child.stdout.readline())
        return text, tokens

    def close(self) -> None:
        self._child.kill()
        self._child.communicate()


if __name__ == "__main__":
    model = RowByRow(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps([*model.reply(*json.loads(line)), time.process_time()]), flush=True)
