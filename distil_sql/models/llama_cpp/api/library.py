"""llama.cpp itself, loaded with this module, and kept quiet. `LIBRARY` is for this package alone."""

from __future__ import annotations

import ctypes
import os
from typing import Any

# Both are read when the library is loaded. An abort would start gdb, which hangs; OpenMP threads that spin at barriers
# take the processor from DuckDB's.
os.environ.setdefault("GGML_NO_BACKTRACE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import llama_cpp as _llama
import numpy as np
import numpy.typing as npt

BATCH = 512
"""Most tokens in one decode."""

Logits = npt.NDArray[np.float32]

LIBRARY: Any = _llama


@LIBRARY.llama_log_callback  # type: ignore[untyped-decorator]
def _quiet(level: int, text: bytes, data: object) -> None:
    """llama.cpp writes hundreds of lines a load; failures reach the user as one sentence instead."""


LIBRARY.llama_log_set(_quiet, ctypes.c_void_p(0))
LIBRARY.llama_backend_init()


# gcc before 12.4 compiles llama.cpp's AMX tiles into code that crashes (gcc bug 114098), and nothing tells such a build
# from a sound one. Only the extra buffer types use them.
HAS_AMX = b"AMX_INT8 = 1" in LIBRARY.llama_print_system_info()


class LlamaError(Exception):
    """llama.cpp refused; the message is one sentence without the model's name."""
