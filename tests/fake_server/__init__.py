"""A real local server that speaks OpenAI's protocol on loopback, and can delay, fail and count.

As a process: ``python -m tests.fake_server --port 0``. From a test: ``with FakeServer(latency={"fixed_ms": 50}) as
server:`` and then ``server.base_url``, ``server.configure(…)``, ``server.stats()``. ``settings.py`` lists the settings.
"""

from tests.fake_server.client import FakeServer

__all__ = ["FakeServer"]
