"""Loads pyreqwest in a thread that never ends, as its memory allocator needs it; to be imported before it.

pyreqwest holds mimalloc 3.3, which takes the thread that loads it for the main one. When that thread ends, the next to
be given its number crashes on its first allocation (https://github.com/microsoft/mimalloc/issues/1287, fixed in 3.4).
"""

from __future__ import annotations

import contextlib
import sys
import threading


def _load_for_good() -> None:
    loaded = threading.Event()

    def load() -> None:
        with contextlib.suppress(ImportError):  # whoever needs it will be told
            from pyreqwest.client import ClientBuilder

            ClientBuilder()
        loaded.set()
        threading.Event().wait()

    threading.Thread(target=load, name="distil-http", daemon=True).start()
    loaded.wait()


if "pyreqwest._pyreqwest" not in sys.modules:
    _load_for_good()
