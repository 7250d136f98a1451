"""Ctrl-C, or a notebook's stop button, while a query waits for its calls: no more of them are made.

DuckDB notices it in the main thread, but ends the query only when the function returns, which may wait in any thread
for 2,048 calls. So the handler of Python's own stops the calls first. A handler of the user's stays as it is.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

_stops: list[Callable[[], None]] = []


def on_interrupt(stop: Callable[[], None]) -> None:
    """Call this on Ctrl-C from now on, in the main thread and before KeyboardInterrupt is raised there."""
    if stop not in _stops:
        _stops.append(stop)
        loaded = sys.modules.get("IPython")
        shell = loaded.get_ipython() if loaded is not None and hasattr(loaded, "get_ipython") else None
        if shell is not None:
            shell.events.register("pre_run_cell", _listen)  # a kernel sets the handler anew for every cell
    _listen()


def _listen(*_: object) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)


def _interrupted(number: int, frame: FrameType | None) -> None:
    for stop in _stops:
        stop()
    signal.default_int_handler(number, frame)
