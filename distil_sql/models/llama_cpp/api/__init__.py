"""Every call into llama.cpp, behind a few small classes: `Weights`, `Grammar`, `Context`, `Embedder`.

What would kill the process (a bad grammar, a batch that does not fit) is refused here with `LlamaError`; nothing may be
used after it was closed. One thread owns a `Context` or `Embedder`; only their `abort` may be called from another.
`Weights` may be shared.
"""

from __future__ import annotations

from distil_sql.models.llama_cpp.api.context import Context
from distil_sql.models.llama_cpp.api.embedder import TEXTS, Embedder
from distil_sql.models.llama_cpp.api.library import LlamaError, Logits
from distil_sql.models.llama_cpp.api.weights import Candidates, Grammar, Weights, candidates

__all__ = [
    "TEXTS",
    "Candidates",
    "Context",
    "Embedder",
    "Grammar",
    "LlamaError",
    "Logits",
    "Weights",
    "candidates",
]
