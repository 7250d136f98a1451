"""Model types behind one seam (`base.Model`): openai, llama_cpp, and pool, which deals calls over the other two."""

from __future__ import annotations

from distil_sql.models.base import Model
from distil_sql.models.options import PER_CALL, ModelSpec

max_model_memory: int | None = None
"""Bytes that embedded models may take together; None: what the machine has. Read when one is loaded."""


def build(spec: ModelSpec) -> Model:
    """The model that a row of `distil.models` describes; raises MissingExtra where its package is not installed."""
    if spec.type == "llama_cpp":
        from distil_sql.models.llama_cpp import LlamaModel, LlamaOptions

        return LlamaModel(LlamaOptions.from_spec(spec))
    from distil_sql.models.openai import OpenAIModel

    return OpenAIModel(spec)


def check(spec: ModelSpec, *, embeds: bool = False) -> None:
    """Whatever can be told before the first call: a key that is not set, a file that cannot be read."""
    if spec.type == "llama_cpp":
        from distil_sql.models.llama_cpp import LlamaOptions
        from distil_sql.models.llama_cpp import check as check_llama

        check_llama(LlamaOptions.from_spec(spec), chat=not embeds)
    elif spec.type == "openai":
        _ = spec.api_key


def identity(spec: ModelSpec, *, embeds: bool = False) -> tuple[str, ...]:
    """What of a model decides its answers, beside the sampling: part of every call's key. Never the API key."""
    extra = spec.options.get("extra")
    if spec.type == "llama_cpp":
        from distil_sql.models.llama_cpp import LlamaOptions
        from distil_sql.models.llama_cpp import identity as llama_identity

        if embeds:
            options = LlamaOptions.from_spec(spec)
            return ("llama_cpp", "embed", llama_identity(options)[0], options.pooling or "")
        own = [f"{option}={spec.options[option]!r}" for option in PER_CALL if spec.options.get(option) is not None]
        return ("llama_cpp", *llama_identity(LlamaOptions.from_spec(spec)), *own)
    if embeds:
        length = str(spec.whole("dimensions") or "")
        return ("openai", "embed", spec.base_url, str(spec.options["model"]), length, repr(extra) if extra else "")
    version = [f"api_version={spec.options['api_version']}"] if spec.options.get("api_version") else []  # Azure's
    asked = (spec.base_url, str(spec.options["model"]), spec.structured, repr(extra) if extra else "", *version)
    return ("openai", *asked)


_OPENAI_VECTORS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}


def vector_length(spec: ModelSpec) -> int | None:
    """How many numbers the vectors of a model have, as far as it can be told without asking it for one."""
    if spec.type == "llama_cpp":
        from distil_sql.models.llama_cpp import LlamaOptions
        from distil_sql.models.llama_cpp import vector_length as llama_length

        return llama_length(LlamaOptions.from_spec(spec))
    return spec.whole("dimensions") or _OPENAI_VECTORS.get(str(spec.options.get("model", "")).rsplit("/", 1)[-1])
