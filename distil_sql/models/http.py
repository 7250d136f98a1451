"""The HTTP client behind remote models: one POST of prepared bytes, one answer of bytes.

pyreqwest (Rust's reqwest) on uvloop: beside aiohttp it took half the CPU a call and gave twice the calls a second,
plain and with TLS (`tests/benchmarks/bench_http_clients.py`). Its pool has no limit: calls queue in the engine, never
in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import distil_sql.models.allocator  # noqa: F401  # before pyreqwest is loaded

# isort: split
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError, RequestTimeoutError

from distil_sql.models.base import CallError

_CONNECT_S = 30.0
_TELLING = ("x-ratelimit-limit-requests", "x-ratelimit-limit-tokens")  # all that is read of a good answer's headers


@dataclass(slots=True)
class Reply:
    """Status, headers (lower-case names) and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Keeps connections to one server open. Made and used inside the engine's event loop; `timeout` is in seconds."""

    def __init__(self, headers: Mapping[str, str], timeout: float) -> None:
        self._timeout = timeout
        self._client = (
            ClientBuilder()
            .default_headers(dict(headers))
            .http1_only()
            .timeout(timedelta(seconds=timeout))
            .connect_timeout(timedelta(seconds=min(timeout, _CONNECT_S)))
            .pool_idle_timeout(timedelta(seconds=30))
            .tcp_nodelay(True)
            .build()
        )

    async def post(self, url: str, body: bytes) -> Reply:
        """Send one request; raises CallError of kind timeout or connection. The error text never holds a header."""
        try:
            response = await self._client.post(url).body_bytes(body).build().send()
            content = bytes(await response.bytes())
        except RequestTimeoutError:
            raise CallError("timeout", f"no answer within {self._timeout:g} s") from None
        except PyreqwestError as error:
            raise _failure(url, error) from None
        except ValueError:
            raise _no_address(url) from None
        if response.status == 200 and all(response.get_header(name) is None for name in _TELLING):
            return Reply(200, {}, content)
        return Reply(response.status, {name.lower(): value for name, value in response.headers.items()}, content)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()


def _failure(url: str, error: PyreqwestError) -> CallError:
    """The client's chain of causes in a few words."""
    details = getattr(error, "details", None) or {}
    causes = [str(cause["message"]) for cause in details.get("causes") or []]
    chain, last = " / ".join(causes), (causes or [str(error)])[-1].split(" (os error")[0]
    host = urlsplit(url).netloc
    if "builder error" in chain:
        return _no_address(url)
    if "dns error" in chain:
        return CallError("connection", f"cannot find the server {host!r}", unreachable=True)
    if "certificate" in chain.lower():
        return CallError("connection", f"the certificate of {host} is not trusted: {last}")
    if "(Connect)" in chain:
        return CallError("connection", f"cannot reach {host}: {last[:1].lower() + last[1:]}", unreachable=True)
    return CallError("connection", f"the connection to {host} broke: {last[:1].lower() + last[1:]}")


def _no_address(url: str) -> CallError:
    return CallError("invalid_request", f"{url!r} is no address of a server: check base_url", fatal=True)
