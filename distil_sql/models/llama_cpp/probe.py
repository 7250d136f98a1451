"""A file's first load, in a child process: what makes llama.cpp abort or hang there is a sentence here.

`probe(path, …)` before a file is loaded; content that has run on this machine before is not tried again, of which
a note is kept in the user's cache folder. `run(path)` is what the child does.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distil_sql.errors import ModelError
from distil_sql.models.base import CLOSED, CallError
from distil_sql.resources import cache_folder

_CHILD = "import sys; from distil_sql.models.llama_cpp.probe import run; run(sys.argv[1])"
_MARK = "llama.cpp says: "
"""Before the reason why llama.cpp ended the child, in its stderr."""

LEAST_S, BYTES_A_SECOND = 120.0, 5e6
"""How long a load may take: a slow disk's time, and more."""

TEMPLATE_S, TEMPLATE_BYTES = 2.0, 1 << 30
"""What rendering a chat template may take in the child, of its processor's time and of memory."""


def probe(path: str, content: str, size: int, go_on: Callable[[], bool] = lambda: True) -> None:
    """Raise `ModelError` where loading the file, or a first decode, would end the process or never end.

    `content`: the model's fingerprint; `size`: its bytes. Where `go_on`, asked meanwhile, says no, the child is ended.
    """
    note = _note(content)
    if note is not None and note.exists():
        return
    limit = LEAST_S + size / BYTES_A_SECOND
    code, said = _child([sys.executable, "-c", _CHILD, os.path.abspath(path)], limit, go_on)
    if code < 0 or code > 255:  # a signal, or its like on Windows
        _, found, why = said.rpartition(_MARK)
        reason = f"makes llama.cpp crash ({why[:200] if found else f'it ends with {code}'})"
        if code == -getattr(signal, "SIGVTALRM", 0):
            reason = "has a chat template that comes to no end"
        raise ModelError(f"the model file {path} {reason}: it is damaged, or made to do harm")
    if code:
        return  # an error, which will be raised here as well
    with contextlib.suppress(OSError):  # then it is probed again
        if note is not None:
            note.parent.mkdir(exist_ok=True)
            note.touch()


def _child(command: list[str], limit: float, go_on: Callable[[], bool]) -> tuple[int, str]:
    """A command's exit code and what it wrote to stderr."""
    step, waited = 0.2, 0.0
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as child:  # an interrupt is for this process
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    _, said = child.communicate(timeout=step)
                    break
                waited += step
                if waited > limit:
                    raise ModelError(f"loading {command[-1]} takes more than {limit:.0f} s: it may be damaged")
                if not go_on():
                    raise CallError("server", CLOSED)
        finally:
            child.kill()
    return child.returncode, said.strip()


def _note(content: str) -> Path | None:
    """Where it is noted that a file, by its content, has run with this version of llama.cpp; None: nowhere."""
    version = importlib.metadata.version("llama-cpp-python")
    key = hashlib.sha256(f"{version}:{content}".encode()).hexdigest()
    try:
        return cache_folder() / "ran" / key[:32]
    except OSError:
        return None


def run(path: str) -> None:
    """Load a file, decode two tokens and render its chat template."""
    from distil_sql.models.llama_cpp.api import LlamaError, Weights, library

    def aborted(reason: str) -> bool:
        os.write(2, (_MARK + reason).encode())
        os.abort()

    library.on_abort = aborted
    weights = Weights(path)
    tokens = [*weights.tokenize("a b", whole=True), 0, 0][:2]
    with contextlib.suppress(LlamaError):  # it may be for embeddings alone
        weights.context(sequences=1, cells=256, flash_attention=False).decode([(0, 0, tokens, True)])
    if template := weights.metadata("tokenizer.chat_template"):
        from distil_sql.models.llama_cpp.chat import Chat

        _limit_itself()
        for roles in (("user",), ("system", "user"), ("system", "user", "assistant", "user")):
            try:
                Chat(weights, template).tokens([{"role": role, "content": "a"} for role in roles])
            except CallError as error:  # else it is raised here as well
                if "MemoryError" in str(error):
                    signal.raise_signal(signal.SIGVTALRM)


def _limit_itself() -> None:
    """Time and memory for what follows, where the system can limit them."""
    with contextlib.suppress(ImportError, OSError, ValueError, AttributeError):
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + TEMPLATE_BYTES, resource.RLIM_INFINITY))
        signal.setitimer(signal.ITIMER_VIRTUAL, TEMPLATE_S)
