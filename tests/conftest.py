"""What every test may use: one fake server for the whole session, clean before each test."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.fake_server import FakeServer

# started in the background, all that the tests start would inherit that Ctrl-C is ignored
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def _fake_server_process() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def fake_server(_fake_server_process: FakeServer) -> FakeServer:
    """The local server, its counts and settings as at the start."""
    _fake_server_process.reset(settings=True)
    return _fake_server_process


@pytest.fixture
def base_url(fake_server: FakeServer) -> str:
    """What `base_url` of a model should be."""
    return fake_server.base_url
