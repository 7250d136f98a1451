"""llama.cpp itself, loaded with this module, and kept quiet. `LIBRARY` is for this package alone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # an abort would start gdb, which hangs

WAITING = {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "20000"}
"""How a decode's threads wait for each other: looking for about 1 ms whether the others are done, and then asleep.

Waking takes as long as many steps of a decode do, and a thread that never sleeps takes the processor from other work.
GNU's OpenMP reads this when llama.cpp loads it. Where several models have more threads than there are processors it
looks for 0.05 ms, without "active" for 0.005.
"""


@contextlib.contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """The environment with these for a while; as it is where the user has set one of them."""
    if any(name in os.environ for name in wanted):
        yield
        return
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in wanted:
            os.environ.pop(name, None)


with _environment(WAITING):
    import llama_cpp as _llama

BATCH, GPU_BATCH = 128, 2048
"""Most tokens in one decode: on a CPU more are slower (they leave its cache) and take more memory."""

Logits = npt.NDArray[np.float32]

LIBRARY: Any = _llama


@LIBRARY.llama_log_callback  # type: ignore[untyped-decorator]
def _quiet(level: int, text: bytes, data: object) -> None:
    """llama.cpp writes hundreds of lines a load; failures reach the user as one sentence instead."""


LIBRARY.llama_log_set(_quiet, ctypes.c_void_p(0))
LIBRARY.llama_backend_init()


on_abort: Callable[[str], bool] | None = None
"""Called with llama.cpp's reason, in whichever thread, where it would end the process; whether somebody lives on."""


@ctypes.CFUNCTYPE(None, ctypes.c_char_p)  # type: ignore[untyped-decorator]
def _aborting(reason: bytes) -> None:
    """The thread that failed never returns, for then the process would end: it sleeps, and all others go on."""
    said = re.sub(r"^\S*/", "", reason.decode("utf-8", "replace").strip())  # without the folder it was built in
    if on_abort is None or not on_abort(said):
        os.write(2, said.encode() + b"\n")
        return
    while True:
        time.sleep(3600)


LIBRARY.llama_cpp._lib.ggml_set_abort_callback(_aborting)


# gcc before 12.4 compiles llama.cpp's AMX tiles into code that crashes (gcc bug 114098), and nothing tells such a build
# from a sound one. Only the extra buffer types use them; a build without (`.ci/lean.cmake`) keeps the others, in which
# q4_0 is faster by a quarter.
HAS_AMX = b"AMX_INT8 = 1" in LIBRARY.llama_print_system_info()


class Stop:
    """Ends a context's running computation, and every later one.

    A C function is the callback: `strlen` of a buffer is 0 (go on) until `set` writes a byte into it. One of Python's
    would take the interpreter's lock at every node of the graph.
    """

    def __init__(self, params: Any) -> None:
        """`params` are those that the context is made with."""
        self._flag = ctypes.create_string_buffer(2)
        libc = ctypes.CDLL(None) if os.name == "posix" else ctypes.cdll.msvcrt  # type: ignore[attr-defined,unused-ignore]
        params.abort_callback = ctypes.cast(libc.strlen, LIBRARY.ggml_abort_callback)
        params.abort_callback_data = ctypes.addressof(self._flag)

    def set(self) -> None:
        """Callable from any thread; it takes milliseconds."""
        self._flag[0] = b"\x01"


class LlamaError(Exception):
    """llama.cpp refused; the message is one sentence without the model's name."""
