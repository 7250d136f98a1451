"""HTTP/1.1 by hand: requests out of bytes, responses into bytes, one ``Connection`` for each client socket.

Only what API clients send: Content-Length or chunked bodies, keep-alive, ``Expect: 100-continue``. A request that
arrives while another is being answered waits in the buffer.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from tests.fake_server.app import App, Call

JSON_TYPE = "application/json"
MAX_HEAD = 65_536
REASONS = {int(status): status.phrase for status in HTTPStatus}


class BadRequest(Exception):
    """The bytes are not an HTTP/1.1 request."""


class Request(NamedTuple):
    method: str
    target: str
    head: bytes
    body: bytes
    end: int
    keep_alive: bool

    def header(self, name: str) -> str:
        """The header's value, or '' when it is absent."""
        return _header(self.head, self.head.lower(), b"\r\n" + name.lower().encode() + b":").decode("latin-1")


def response(status: int, body: bytes, headers: Iterable[tuple[str, str]] = (), content_type: str = JSON_TYPE) -> bytes:
    """One whole HTTP response. ``headers`` come after the standard ones, as they are."""
    extra = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}\r\ncontent-type: {content_type}\r\n"
    return f"{head}content-length: {len(body)}\r\n{extra}\r\n".encode("latin-1") + body


def json_response(status: int, value: object, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    return response(status, json.dumps(value).encode(), headers)


def error_body(message: str, type_: str = "invalid_request_error", code: str | None = None) -> bytes:
    """An error in OpenAI's form."""
    return json.dumps({"error": {"message": message, "type": type_, "param": None, "code": code}}).encode()


def parse_request(data: bytes) -> Request | None:
    """The first request in ``data``, or None when it has not arrived whole."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        if len(data) > MAX_HEAD:
            raise BadRequest("the request head is too long")
        return None
    head = data[: head_end + 2]
    lower = head.lower()
    line_end = head.find(b"\r\n")
    words = head[:line_end].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        raise BadRequest("not an HTTP/1.1 request line")
    start = head_end + 4
    end = start
    length = _header(head, lower, b"\r\ncontent-length:")
    if length:
        if not length.isdigit():
            raise BadRequest("content-length is not a number")
        end = start + int(length)
        if len(data) < end:
            return None
        body = data[start:end]
    elif b"chunked" in _header(head, lower, b"\r\ntransfer-encoding:"):
        chunked = _read_chunks(data, start)
        if chunked is None:
            return None
        body, end = chunked
    else:
        body = b""
    connection = _header(head, lower, b"\r\nconnection:").lower()
    keep_alive = connection != b"close" and (words[2] != b"HTTP/1.0" or connection == b"keep-alive")
    return Request(words[0].decode("latin-1"), words[1].decode("latin-1"), head, body, end, keep_alive)


def _header(head: bytes, lower: bytes, name: bytes) -> bytes:
    at = lower.find(name)
    if at < 0:
        return b""
    at += len(name)
    return head[at : head.find(b"\r\n", at)].strip()


def _read_chunks(data: bytes, at: int) -> tuple[bytes, int] | None:
    parts: list[bytes] = []
    while True:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            return None
        try:
            size = int(data[at:line_end].split(b";")[0], 16)
        except ValueError:
            raise BadRequest("a chunk has no size") from None
        at = line_end + 2
        if len(data) < at + size + 2:
            return None
        if size == 0:  # trailers are not read
            return b"".join(parts), at + 2
        parts.append(data[at : at + size])
        at += size + 2


class Connection(asyncio.Protocol):
    """One client socket. ``call`` is the API call being delayed on it, when there is one."""

    __slots__ = ("_app", "_buffer", "_continued", "_keep_alive", "_transport", "call", "counted_in")

    def __init__(self, app: App) -> None:
        self._app = app
        self._buffer = b""
        self._continued = False
        self._keep_alive = True
        self.call: Call | None = None
        self.counted_in: object = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.call is not None:
            self.call.abandon()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if self.call is None:
            self._serve()

    @property
    def gone(self) -> bool:
        return self._transport.is_closing()

    def _serve(self) -> None:
        while self._buffer and self.call is None and not self._transport.is_closing():
            try:
                request = parse_request(self._buffer)
            except BadRequest as error:
                self._transport.write(response(400, error_body(str(error)), [("connection", "close")]))
                self._transport.close()
                return
            if request is None:
                self._answer_expect()
                return
            self._buffer = self._buffer[request.end :]
            self._continued = False
            self._keep_alive = request.keep_alive
            self._app.handle(self, request)

    def _answer_expect(self) -> None:
        head, found, _ = self._buffer.partition(b"\r\n\r\n")
        if found and not self._continued and b"\r\nexpect: 100-continue" in head.lower():
            self._continued = True
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def send(self, data: bytes, close: bool = False) -> None:
        """Write the answer; then take the next request, or close."""
        if data:
            self._transport.write(data)
        was_delayed, self.call = self.call is not None, None
        if close or not self._keep_alive:
            self._transport.close()
        elif was_delayed and self._buffer:
            self._serve()

    def reset(self) -> None:
        """Close with a TCP reset, as a crashed peer or a middlebox does."""
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.call = None
        self._transport.abort()
