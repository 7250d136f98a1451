"""What `CREATE MODEL … (TYPE llama_cpp, …)` may say, where its file is, and whether it can work at all.

`check(options)` reads the file's head only: it runs before a pipeline starts, without loading llama.cpp.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING

from distil_sql.errors import MissingExtra, ModelError, OptionError
from distil_sql.models.llama_cpp.header import Value, read_header
from distil_sql.prompt import formats

if TYPE_CHECKING:
    from distil_sql.models.options import ModelSpec

DEFAULT_CONCURRENCY = 16


@dataclass(frozen=True, slots=True)
class LlamaOptions:
    """An embedded model.

    path: a GGUF file, `tiny` (the model shipped with the package) or `hf://org/repo/file.gguf`.
    concurrency: sequences decoded together. threads: None is all processors, one for a small model.
    gpu_layers: layers to put on a GPU (-1: all), where llama.cpp was built for one.
    context: most tokens of one prompt with its answer; None is as many as the prompts need and memory has.
    flash_attention: None is on a GPU only; on a CPU it is slower, and makes answers depend on what else is running.
    prompt_format: a name of `distil_sql.prompt.formats` or a Jinja chat template; None is the file's own template.
    pooling: how embeddings are made of a text's tokens: mean, cls or last; None is the file's own way, else mean.
    """

    path: str
    concurrency: int = DEFAULT_CONCURRENCY
    threads: int | None = None
    gpu_layers: int = 0
    context: int | None = None
    prompt_format: str | None = None
    flash_attention: bool | None = None
    mmap: bool = True
    pooling: str | None = None

    @classmethod
    def from_spec(cls, spec: ModelSpec) -> LlamaOptions:
        """Those of a model's options that are meant for here."""
        names = {field.name for field in fields(cls)}
        given = {name: value for name, value in spec.options.items() if name in names and value is not None}
        return cls(**given)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        if not self.path:
            raise OptionError("a llama_cpp model needs a path: a GGUF file, 'tiny', or 'hf://org/repo/file.gguf'")
        if not 1 <= self.concurrency <= 255:
            raise OptionError(f"concurrency {self.concurrency} cannot be: a llama_cpp model takes 1 to 255")
        if self.threads is not None and self.threads < 1:
            raise OptionError(f"threads {self.threads} cannot be: use 1 or more")
        if self.gpu_layers < -1:
            raise OptionError(f"gpu_layers {self.gpu_layers} cannot be: use 0 or more, or -1 for all layers")
        if self.context is not None and self.context < 16:
            raise OptionError(f"context {self.context} cannot be: use 16 tokens or more")
        if self.pooling not in (None, "mean", "cls", "last"):
            raise OptionError(f"pooling {self.pooling!r} cannot be: use mean, cls or last")
        if self.prompt_format is not None and not is_template(self.prompt_format):
            formats.template(self.prompt_format)


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_template(prompt_format: str) -> bool:
    """Whether a `prompt_format` is a Jinja template rather than a format's name."""
    return "{{" in prompt_format or "{%" in prompt_format


def local_file(options: LlamaOptions, *, download: bool) -> str | None:
    """Where the model's file is on this machine; None when it is yet to be downloaded and may not be now."""
    if options.path == "tiny":
        from distil_sql import tiny

        return str(tiny.path())
    if not options.path.startswith("hf://"):
        return os.path.expanduser(options.path)
    parts = options.path.removeprefix("hf://").split("/", 2)
    if len(parts) < 3 or not all(parts):
        raise OptionError(f"the path {options.path} must look like 'hf://org/repo/file.gguf'")
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingExtra(f"the path {options.path} needs huggingface_hub: pip install 'distil-sql[hub]'")
    import huggingface_hub

    repository, name = f"{parts[0]}/{parts[1]}", parts[2]
    if not download:
        cached = huggingface_hub.try_to_load_from_cache(repository, name)
        return cached if isinstance(cached, str) else None
    try:
        return str(huggingface_hub.hf_hub_download(repository, name))
    except Exception as error:  # its errors come from several packages
        raise ModelError(f"{options.path} cannot be downloaded: {error}") from error


def check(options: LlamaOptions, *, chat: bool = True) -> None:
    """Raise `ModelError` where no call can succeed; a file that is yet to be downloaded is taken on trust.

    `chat`: whether it is to answer messages, and not only to embed texts.
    """
    path = local_file(options, download=False)
    if path is not None:
        check_header(path, read_header(path), options, chat=chat)


def identity(options: LlamaOptions) -> tuple[str, ...]:
    """What decides the answers beside the sampling: which weights (not where they lie), template and context."""
    return _file_identity(options), options.prompt_format or "", str(options.context or "")


def _file_identity(options: LlamaOptions) -> str:
    if options.path.startswith("hf://"):
        return options.path
    return fingerprint(local_file(options, download=False) or options.path)


def fingerprint(path: str) -> str:
    """What a file is by its content, wherever it lies; raises `ModelError` where it cannot be read."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise ModelError(f"the model file {path} cannot be read: {error.strerror}") from error
    return _fingerprint(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _fingerprint(path: str, size: int, _modified: int) -> str:
    """A hash of the file's size and of samples throughout it: gigabytes are not read for a key."""
    sample, places = 1 << 16, 64
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        for place in range(places):
            file.seek(max(0, size - sample) * place // (places - 1))
            digest.update(file.read(sample))
    return digest.hexdigest()


def check_header(path: str, head: Mapping[str, Value], options: LlamaOptions, *, chat: bool = True) -> None:
    """The same for a header that has been read."""
    if "general.architecture" not in head or head.get("tokenizer.ggml.model", "no_vocab") == "no_vocab":
        raise ModelError(f"the model file {path} has no vocabulary: it is not a language model")
    if chat and options.prompt_format is None and not head.get("tokenizer.chat_template"):
        names = ", ".join(name for name in formats.FORMATS if name != "openai")
        raise ModelError(f"the model file {path} has no chat template: give the model a prompt_format, one of {names}")
