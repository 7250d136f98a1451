"""Where a model's file is on this machine, in one part or several, and what it is by its content.

A large GGUF may lie in parts (`name-00001-of-00003.gguf`, …): any of their names stands for all of them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from distil_sql.errors import MissingExtra, ModelError, OptionError
from distil_sql.models.llama_cpp.header import Value, read_header, whole_number

if TYPE_CHECKING:
    from distil_sql.models.llama_cpp.options import LlamaOptions

_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


def names(path: str) -> list[str]:
    """The names of a model's parts, the first one first: what llama.cpp loads them by."""
    found = _PART.search(path)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        return [path]
    return [f"{path[: found.start()]}-{number:05}-of-{found[2]}.gguf" for number in range(1, int(found[2]) + 1)]


def local_files(options: LlamaOptions, *, download: bool) -> list[str] | None:
    """Where the model's parts are on this machine; None when one is yet to be downloaded and may not be now."""
    if options.path == "tiny":
        from distil_sql import tiny

        return [str(tiny.path())]
    if not options.path.startswith("hf://"):
        return names(os.path.expanduser(options.path))
    place = options.path.removeprefix("hf://").split("/", 2)
    if len(place) < 3 or not all(place):
        raise OptionError(f"the path {options.path} must look like 'hf://org/repo/file.gguf'")
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingExtra(f"the path {options.path} needs huggingface_hub: pip install 'distil-sql[hub]'")
    found = [_of_the_hub(f"{place[0]}/{place[1]}", name, download) for name in names(place[2])]
    return None if None in found else [path for path in found if path is not None]


def _of_the_hub(repository: str, name: str, download: bool) -> str | None:
    import huggingface_hub

    if not download:
        cached = huggingface_hub.try_to_load_from_cache(repository, name)
        return cached if isinstance(cached, str) else None
    try:
        return str(huggingface_hub.hf_hub_download(repository, name))
    except Exception as error:  # its errors come from several packages
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"hf://{repository}/{name} cannot be downloaded ({reason}): check the name and the network, and for a "
            "gated model the variable HF_TOKEN"
        ) from error


def read_model(paths: Sequence[str]) -> dict[str, Value]:
    """Plain metadata of a model, all of whose parts have been looked at; raises `ModelError` where one cannot be."""
    heads: list[dict[str, Value]] = []
    for number, path in enumerate(paths, 1):
        if len(paths) > 1 and not os.path.exists(path):
            raise ModelError(f"the model file {paths[0]} has {len(paths)} parts, and part {number} is missing: {path}")
        head = read_header(path)
        count = whole_number(path, head, "split.count", 1) or 1
        if count != len(paths):
            raise ModelError(
                f"the model file {path} is one of {count} parts, and their names must say so: "
                f"{_stem(path)}-00001-of-{count:05}.gguf"
            )
        if (part := whole_number(path, head, "split.no", 0) + 1) != number:
            raise ModelError(f"the model file {path} is part {part} of {count} by its content: rename it")
        heads.append(head)
    return heads[0]


def _stem(path: str) -> str:
    return _PART.sub("", path).removesuffix(".gguf")


def fingerprint(paths: Sequence[str]) -> str:
    """What a model is by its content, wherever it lies; raises `ModelError` where it cannot be read."""
    marks = []
    for path in paths:
        try:
            found = os.stat(path)
        except OSError as error:
            raise ModelError(f"the model file {path} cannot be read: {error.strerror}") from error
        marks.append(_fingerprint(path, found.st_size, found.st_mtime_ns))
    return marks[0] if len(marks) == 1 else hashlib.sha256("".join(marks).encode()).hexdigest()


@lru_cache(maxsize=256)
def _fingerprint(path: str, size: int, _modified: int) -> str:
    """A hash of the file's size and of samples throughout it: gigabytes are not read for a key."""
    sample, places = 1 << 16, 64
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        for place in range(places):
            file.seek(max(0, size - sample) * place // (places - 1))
            digest.update(file.read(sample))
    return digest.hexdigest()


def size(paths: Sequence[str]) -> int:
    """Bytes of all parts."""
    return sum(Path(path).stat().st_size for path in paths)
