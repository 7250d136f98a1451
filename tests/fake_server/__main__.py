"""Start the server: ``python -m tests.fake_server [--port 0] [--settings '{"latency": {"fixed_ms": 50}}']``.

Prints one line, ``listening http://127.0.0.1:PORT``, when it accepts connections. With ``--parent-pid`` it exits as
soon as that process is no longer its parent, so a killed test run leaves no server behind.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import ssl
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module

from tests.fake_server.app import App
from tests.fake_server.settings import Settings, SettingsError
from tests.fake_server.wire import Connection

PARENT_POLL_S = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fake_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--settings", default="{}", help="a JSON object, as POST /control takes")
    parser.add_argument("--tls-cert", help="PEM file; needs --tls-key")
    parser.add_argument("--tls-key", help="PEM file")
    parser.add_argument("--parent-pid", type=int, help="exit when this process is no longer the parent")
    options = parser.parse_args()
    if bool(options.tls_cert) != bool(options.tls_key):
        parser.error("--tls-cert and --tls-key go together")
    try:
        settings = Settings().merged(json.loads(options.settings))
    except (SettingsError, ValueError) as error:
        parser.error(f"--settings: {error}")
    _raise_file_limit()
    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(options, settings))


async def _serve(options: argparse.Namespace, settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    app = App(loop, settings)
    context = None
    if options.tls_cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.tls_cert, options.tls_key)
    server = await loop.create_server(
        lambda: Connection(app), options.host, options.port, backlog=8192, ssl=context, reuse_address=True
    )
    # A million tracked bodies must not make every collection a long pause.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    port = server.sockets[0].getsockname()[1]
    print(f"listening {'https' if context else 'http'}://{options.host}:{port}", flush=True)
    while options.parent_pid is None or os.getppid() == options.parent_pid:
        await asyncio.sleep(PARENT_POLL_S)
    # Not a tidy end: connections that hang must not keep an orphan alive.
    os._exit(0)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed; asyncio's own loop otherwise."""
    try:
        return import_module("uvloop").new_event_loop  # type: ignore[no-any-return]
    except ImportError:
        return None


def _raise_file_limit() -> None:
    """One connection is one file: take what the machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
