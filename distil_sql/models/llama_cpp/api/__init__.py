"""Every call into llama.cpp, behind a few small classes: `Weights`, `Grammar`, `Context`, `Embedder`.

What would kill the process (a bad grammar, a batch too large, use after close) is refused here with `LlamaError`.
One thread owns a `Context` or `Embedder`; only `Context.abort` may be called from another. `Weights` may be shared.
"""

from __future__ import annotations

from distil_sql.models.llama_cpp.api.context import Context
from distil_sql.models.llama_cpp.api.embedder import POOLINGS, Embedder
from distil_sql.models.llama_cpp.api.library import HAS_AMX, LlamaError, Logits
from distil_sql.models.llama_cpp.api.weights import Candidates, Grammar, Weights, candidates

__all__ = [
    "HAS_AMX",
    "POOLINGS",
    "Candidates",
    "Context",
    "Embedder",
    "Grammar",
    "LlamaError",
    "Logits",
    "Weights",
    "candidates",
]
