"""A file's first load, in a child process: what makes llama.cpp abort there is a sentence here.

`probe(path)` before a file is loaded; one that has run on this machine before is not tried again, of which a note is
kept in the user's cache folder. `run(path)` is what the child does.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

from distil_sql.errors import ModelError
from distil_sql.models.llama_cpp.options import fingerprint

_CHILD = "import sys; from distil_sql.models.llama_cpp.probe import run; run(sys.argv[1])"


def probe(path: str) -> None:
    """Raise `ModelError` where loading the file, or a first decode, would end the process."""
    note = _note(path)
    if note.exists():
        return
    command = [sys.executable, "-c", _CHILD, os.path.abspath(path)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode < 0 or done.returncode > 255:  # a signal, or its like on Windows
        said = [line[line.index("GGML_ASSERT") :] for line in done.stderr.splitlines() if "GGML_ASSERT" in line]
        reason = said[0].strip()[:200] if said else f"it ends with {done.returncode}"
        raise ModelError(f"the model file {path} makes llama.cpp crash ({reason}): it is damaged, or made to do harm")
    if done.returncode:
        return  # an error, which will be raised here as well
    with contextlib.suppress(OSError):  # then it is probed again
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()


def _note(path: str) -> Path:
    """Where it is noted that a file, by its content, has run with this version of llama.cpp."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = importlib.metadata.version("llama-cpp-python")
    key = hashlib.sha256(f"{version}:{fingerprint(path)}".encode()).hexdigest()
    return cache / "distil-sql" / "ran" / key[:32]


def run(path: str) -> None:
    """Load a file and decode two tokens."""
    from distil_sql.models.llama_cpp.api import LlamaError, Weights

    weights = Weights(path)
    tokens = [*weights.tokenize("a b", whole=True), 0, 0][:2]
    with contextlib.suppress(LlamaError):  # it may be for embeddings alone
        weights.context(sequences=1, cells=256, threads=1, flash_attention=False).decode([(0, 0, tokens, True)])
