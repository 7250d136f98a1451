"""The embedded model: a GGUF file run by llama.cpp inside this process, many rows in one batch.

`LlamaModel(LlamaOptions(path="tiny"))` is a `base.Model`; `check(options)` says beforehand whether it can work.
Importing this needs the extra `distil-sql[llama]`; llama.cpp itself is loaded with the first call.
"""

from __future__ import annotations

import importlib.util

from distil_sql.errors import MissingExtra

if importlib.util.find_spec("llama_cpp") is None:
    raise MissingExtra("a model of TYPE llama_cpp needs llama-cpp-python: pip install 'distil-sql[llama]'")

from distil_sql.models.llama_cpp.model import LlamaModel
from distil_sql.models.llama_cpp.options import LlamaOptions, check, identity, vector_length

__all__ = ["LlamaModel", "LlamaOptions", "check", "identity", "vector_length"]
