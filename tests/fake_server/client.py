"""``FakeServer``: the server as a child process, driven from a test or a benchmark with the standard library alone.

``with FakeServer(faults=[{"kind": "429", "ratio": 0.1, "attempts": 1}]) as server:`` starts one; it dies with its
parent, also when that is killed. Settings given at the start come back with ``reset(settings=True)``.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
START_S = 20.0


class FakeServer:
    """A running server. ``url`` is its root, ``base_url`` what an OpenAI client wants.

    ``tls`` is a pair of paths, certificate and key. The other arguments are settings (``settings.py`` lists them).
    """

    def __init__(self, *, port: int = 0, tls: tuple[str, str] | None = None, **settings: Any) -> None:
        self._tls = tls
        self._at_start = dict(settings)
        self._settings = dict(settings)
        self._context = ssl._create_unverified_context() if tls else None  # its own certificate, on loopback
        self.port = port
        self.process: subprocess.Popen[str] | None = None
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def start(self) -> None:
        """Start the process and wait until it listens. Raises RuntimeError when it does not."""
        command = [sys.executable, "-m", "tests.fake_server", "--port", str(self.port)]
        command += ["--settings", json.dumps(self._at_start), "--parent-pid", str(os.getpid())]
        if self._tls:
            command += ["--tls-cert", self._tls[0], "--tls-key", self._tls[1]]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None  # a pipe was asked for
        ready, _, _ = select.select([self.process.stdout], [], [], START_S)
        line = self.process.stdout.readline() if ready else ""
        if not line.startswith("listening "):
            self.stop()
            raise RuntimeError(f"the fake server did not start: {line or 'see its stderr'}")
        self.port = int(line.rsplit(":", 1)[1])
        if self._settings != self._at_start:
            self.configure(**self._settings)

    def stop(self) -> None:
        """End the process, its connections cut; nothing happens when it has ended already."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None

    def restart(self) -> None:
        """Stop, and start on the same port with the same settings. Counts begin anew."""
        self.stop()
        self.start()

    def configure(self, **settings: Any) -> dict[str, Any]:
        """Merge settings, whole values at a time; None puts one back to its default. Raises ValueError."""
        given = self._ask("/control", settings)
        self._settings.update(settings)
        return given

    def reset(self, settings: bool = False) -> None:
        """Forget every count, the rate limit's and the prefix cache's state; with ``settings``, also ``configure``."""
        self._ask("/reset?settings=1" if settings else "/reset", {})
        if settings:
            self._settings = dict(self._at_start)

    def stats(self) -> dict[str, Any]:
        """The counts, as ``stats.py`` names them."""
        return self._ask("/stats")

    def bodies(self) -> dict[str, dict[str, Any]]:
        """Each distinct request body's hash: ``attempts``, ``answered``, ``last_user``."""
        bodies: dict[str, dict[str, Any]] = self._ask("/stats?bodies=1")["bodies"]
        return bodies

    def latencies_ms(self) -> list[float]:
        """Every latency imposed, in order of arrival."""
        latencies: list[float] = self._ask("/stats?latencies=1")["latencies_ms"]
        return latencies

    def bound_s(self, concurrency: int) -> float:
        """The least time in which these latencies fit into ``concurrency`` lanes: their share, or the longest one."""
        latencies = self.latencies_ms()
        return max(sum(latencies) / concurrency, max(latencies, default=0.0)) / 1000

    def window_s(self, concurrency: int) -> float:
        """What a perfect sliding window takes: these latencies in order, each into the first free lane."""
        lanes = [0.0] * concurrency
        for latency in self.latencies_ms():
            heapq.heapreplace(lanes, lanes[0] + latency)
        return max(lanes) / 1000

    def wait_for(self, condition: Callable[[dict[str, Any]], bool], timeout_s: float = 10.0) -> dict[str, Any]:
        """Poll the stats until ``condition(stats)`` holds, and return them. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while True:
            stats = self.stats()
            if condition(stats):
                return stats
            if time.monotonic() > deadline:
                raise TimeoutError(f"the fake server never came to that: {stats}")
            time.sleep(0.01)

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        # No proxy: an http_proxy in the environment must not see loopback.
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if self._context is not None:
            handlers.append(urllib.request.HTTPSHandler(context=self._context))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=30) as answer:
                value: dict[str, Any] = json.load(answer)
                return value
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error)["error"]["message"]) from None
