"""The head of a GGUF file, read without llama.cpp: a missing, truncated or hostile file is one sentence, not a crash.

`read_header(path)` gives the metadata's plain values (arrays are skipped) after checking that every tensor lies inside
the file. Source: the GGUF specification, versions 2 and 3.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from typing import BinaryIO

from distil_sql.errors import ModelError

Value = int | float | bool | str
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_MOST_TEXT, _MOST_ENTRIES, _MOST_ITEMS = 1 << 24, 1 << 20, 1 << 24

BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    9: (32, 36),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    30: (1, 2),
}
"""ggml's number of a type -> numbers in a block, bytes of a block; a type not named here is left to llama.cpp."""


def read_header(path: str) -> dict[str, Value]:
    """Plain metadata of the GGUF at `path`; raises `ModelError` naming the file where it cannot be one."""
    try:
        with open(path, "rb") as file:  # not mapped: `machine.Pages` must find what llama.cpp maps, and nothing else
            size = os.fstat(file.fileno()).st_size
            if not size:
                raise ModelError(f"the model file {path} is empty")
            return _Reader(path, file, size).header()
    except FileNotFoundError:
        raise ModelError(f"there is no model file {path}") from None
    except IsADirectoryError:
        raise ModelError(f"{path} is a directory, not a GGUF model file") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"the model file {path} cannot be read: {error}") from error


def whole_number(path: str, head: Mapping[str, Value], key: str, default: int) -> int:
    """An entry that must be a whole number; raises `ModelError` naming the file where it is something else."""
    value = head.get(key, default)
    if not isinstance(value, int):
        raise ModelError(f"the model file {path} is damaged: its {key} is {value!r}")
    return value


class _Reader:
    def __init__(self, path: str, file: BinaryIO, size: int) -> None:
        self._path, self._file, self._left = path, file, size

    def header(self) -> dict[str, Value]:
        if self._file.read(4) != b"GGUF":
            raise ModelError(f"{self._path} is not a GGUF model file")
        self._left -= 4
        version = int(self._scalar(4))
        if version not in (2, 3):
            raise ModelError(f"{self._path} is of GGUF version {version}, and only 2 and 3 can be read")
        tensors, entries = int(self._scalar(10)), int(self._scalar(10))
        if max(tensors, entries) > _MOST_ENTRIES:
            raise self._damaged()
        found: dict[str, Value] = {}
        for _ in range(entries):
            key, kind = self._text(), int(self._scalar(4))
            value = self._value(kind)
            if value is not None:
                found[key] = value
        self._check_tensors(tensors, whole_number(self._path, found, "general.alignment", 32))
        return found

    def _check_tensors(self, count: int, alignment: int) -> None:
        """Every tensor's end must lie inside the file: a download cut short is the usual fault."""
        end = 0
        for _ in range(count):
            self._text()
            dimensions = int(self._scalar(4))
            if dimensions > 4:
                raise self._damaged()
            weights = math.prod(int(self._scalar(10)) for _ in range(dimensions))
            kind, offset = int(self._scalar(4)), int(self._scalar(10))
            per_block, size = BLOCKS.get(kind, (1, 0))
            end = max(end, offset + weights // per_block * size)
        at = self._file.tell()
        if alignment <= 0 or -(-at // alignment) * alignment + end > at + self._left:
            raise self._damaged()

    def _damaged(self) -> ModelError:
        return ModelError(f"the model file {self._path} is damaged or cut short: download it again")

    def _take(self, count: int) -> bytes:
        self._claim(count)
        return self._file.read(count)

    def _skip(self, count: int) -> None:
        self._claim(count)
        self._file.seek(count, os.SEEK_CUR)

    def _claim(self, count: int) -> None:
        if count > self._left:
            raise self._damaged()
        self._left -= count

    def _scalar(self, kind: int) -> int | float | bool:
        form = _SCALARS[kind]
        value: int | float | bool = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return value

    def _text(self) -> str:
        size = int(self._scalar(10))
        if size > _MOST_TEXT:
            raise self._damaged()
        return self._take(size).decode("utf-8", "replace")

    def _value(self, kind: int, depth: int = 0) -> Value | None:
        if kind == _STRING:
            return self._text()
        if kind in _SCALARS:
            return self._scalar(kind)
        if kind != _ARRAY or depth > 3:
            raise self._damaged()
        inner, count = int(self._scalar(4)), int(self._scalar(10))
        if inner in _SCALARS:
            self._skip(count * struct.calcsize(_SCALARS[inner]))
            return None
        if count > _MOST_ITEMS:
            raise self._damaged()
        for _ in range(count):
            if inner == _STRING:
                self._skip(int(self._scalar(10)))
            else:
                self._value(inner, depth + 1)
        return None
