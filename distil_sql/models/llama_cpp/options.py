"""What `CREATE MODEL … (TYPE llama_cpp, …)` may say, and whether it can work at all.

`check(options)` reads the file's head only: it runs before a pipeline starts, without loading llama.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from distil_sql.errors import ModelError, OptionError
from distil_sql.models.llama_cpp.files import fingerprint, local_files, read_model
from distil_sql.models.llama_cpp.header import Value
from distil_sql.models.llama_cpp.machine import processors
from distil_sql.prompt import formats

if TYPE_CHECKING:
    from distil_sql.models.options import ModelSpec

DEFAULT_CONCURRENCY = 16

KV_CACHES: Mapping[str, int] = {
    "f32": 0,
    "f16": 1,
    "bf16": 30,
    "q8_0": 8,
    "q5_1": 7,
    "q5_0": 6,
    "q4_1": 3,
    "q4_0": 2,
}
"""How keys and values may be kept, each with ggml's number of the type."""

UNQUANTISED = ("f32", "f16", "bf16")
KV_CACHE_NAMES = ", ".join([*KV_CACHES][:-1]) + " or q4_0"


@dataclass(frozen=True, slots=True)
class LlamaOptions:
    """An embedded model.

    path: a GGUF file (one part of several stands for all), `tiny` (the model shipped with the package) or
        `hf://org/repo/file.gguf`.
    concurrency: sequences decoded together. threads: the most that a decode has, None all
        processors; it has fewer while other work holds those.
    gpu_layers: layers to put on a GPU (-1: all), where llama.cpp was built for one.
    context: most tokens of one prompt with its answer; None is as many as the prompts need and memory has.
    flash_attention: None is on a GPU only; on a CPU it is slower, and makes answers depend on what else is running.
    kv_cache: how keys and values are kept, one of KV_CACHES; q8_0 takes about half of f16's memory, q4_0 a quarter.
        Quantised values need flash attention, which is then on.
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
    kv_cache: str = "f16"

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
        if self.kv_cache not in KV_CACHES:
            raise OptionError(f"kv_cache {self.kv_cache!r} cannot be: use {KV_CACHE_NAMES}")
        if self.flash_attention is False and self.kv_cache not in UNQUANTISED:
            raise OptionError(f"kv_cache {self.kv_cache!r} needs flash attention: leave flash_attention out")
        if self.pooling not in (None, "mean", "cls", "last"):
            raise OptionError(f"pooling {self.pooling!r} cannot be: use mean, cls or last")
        if self.prompt_format is not None and not is_template(self.prompt_format):
            formats.template(self.prompt_format)


def is_template(prompt_format: str) -> bool:
    """Whether a `prompt_format` is a Jinja template rather than a format's name."""
    return "{{" in prompt_format or "{%" in prompt_format


def check(options: LlamaOptions, *, chat: bool = True) -> None:
    """Raise `ModelError` where no call can succeed; a file that is yet to be downloaded is taken on trust.

    `chat`: whether it is to answer messages, and not only to embed texts.
    """
    paths = local_files(options, download=False)
    if paths is not None:
        check_header(paths[0], read_model(paths), options, chat=chat)


def identity(options: LlamaOptions) -> tuple[str, ...]:
    """What decides the answers beside the sampling: which weights (not where they lie), template and context.

    And what computes with other roundings, where it is set: cache types, flash attention and GPUs do, company does not,
    and the number of threads only with flash attention.
    """
    rounds = {
        "kv_cache": None if options.kv_cache == "f16" else options.kv_cache,
        "flash_attention": options.flash_attention,
        "gpu_layers": options.gpu_layers or None,
        "threads": options.threads or processors() if options.flash_attention and not options.gpu_layers else None,
    }
    set_here = (f"{name}={value}" for name, value in rounds.items() if value is not None)
    return _file_identity(options), options.prompt_format or "", str(options.context or ""), *set_here


def vector_length(options: LlamaOptions) -> int | None:
    """How many numbers a vector of this model has; None for a file that is yet to be downloaded."""
    paths = local_files(options, download=False)
    head = read_model(paths) if paths is not None else {}
    length = head.get(f"{head.get('general.architecture')}.embedding_length")
    return length if isinstance(length, int) else None


def _file_identity(options: LlamaOptions) -> str:
    if options.path.startswith("hf://"):
        return options.path
    return fingerprint(local_files(options, download=False) or [options.path])


def check_header(path: str, head: Mapping[str, Value], options: LlamaOptions, *, chat: bool = True) -> None:
    """The same for a header that has been read."""
    if "general.architecture" not in head or head.get("tokenizer.ggml.model", "no_vocab") == "no_vocab":
        raise ModelError(f"the model file {path} has no vocabulary: it is not a language model")
    if chat and options.prompt_format is None and not head.get("tokenizer.chat_template"):
        names = ", ".join(name for name in formats.FORMATS if name != "openai")
        raise ModelError(f"the model file {path} has no chat template: give the model a prompt_format, one of {names}")
