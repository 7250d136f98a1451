"""The HTTP client behind remote models: one POST of prepared bytes, one answer of bytes.

aiohttp, without its own pool limit: calls queue in the engine, never inside the client.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from distil_sql.models.base import CallError


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, headers (lower-case names) and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Keeps connections to one server open. Made and used inside the engine's event loop."""

    def __init__(self, headers: Mapping[str, str], timeout: float) -> None:
        connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=30)
        self._timeout = timeout
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=timeout, connect=min(timeout, 30)),
            auto_decompress=True,
        )

    async def post(self, url: str, body: bytes) -> Reply:
        """Send one request; raises CallError of kind timeout or connection. The error text never holds a header."""
        try:
            async with self._session.post(url, data=body) as response:
                content = await response.read()
                return Reply(response.status, {k.lower(): v for k, v in response.headers.items()}, content)
        except TimeoutError:
            raise CallError("timeout", f"no answer within {self._timeout:g} s") from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise CallError(
                "invalid_request", f"{url!r} is no address of a server: check base_url", fatal=True
            ) from None
        except aiohttp.ClientConnectorDNSError as error:
            raise CallError("connection", f"cannot find the server {error.host!r}: check base_url") from None
        except (aiohttp.ClientConnectorCertificateError, ssl.SSLError) as error:
            raise CallError("connection", f"the server's certificate is not trusted: {error}") from None
        except aiohttp.ClientConnectorError as error:
            raise CallError(
                "connection", f"cannot reach {error.host}:{error.port}: {error.os_error.strerror}"
            ) from None
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise CallError("connection", f"the connection broke: {type(error).__name__}") from None

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()
