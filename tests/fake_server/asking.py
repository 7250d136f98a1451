"""Plain requests to the server for its own tests: over ``http.client``, so that no retries stand before the wire."""

from __future__ import annotations

import http.client
import json
from typing import Any

from tests.fake_server import FakeServer

KEYS = {"authorization": "Bearer k", "content-type": "application/json"}


def body(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], "temperature": 0, **more}


def post(
    server: FakeServer, request: dict[str, Any], path: str = "/v1/chat/completions", **headers: str
) -> tuple[int, Any, http.client.HTTPMessage]:
    """Status, parsed body (text where it is not JSON), headers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("POST", path, json.dumps(request), {**KEYS, **headers})
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    try:
        return answer.status, json.loads(text), answer.headers
    except ValueError:
        return answer.status, text, answer.headers


def content(server: FakeServer, request: dict[str, Any]) -> Any:
    status, value, _ = post(server, request)
    assert status == 200, value
    return value["choices"][0]["message"]["content"]


def fails(server: FakeServer, request: dict[str, Any]) -> bool:
    return post(server, request)[0] != 200
