"""Replies other than the default one: fault kinds and scripted replies, both read into a ``Reply``.

Fault kinds: any three-digit status (``429 500 503 401 403 400`` …), ``429_quota 404_model 400_context``; ``drop``
(closed without an answer), ``drop_mid`` (closed midway through the body), ``reset`` (TCP reset), ``hang``; 200 with a
wrong body: ``html malformed_json truncated_json empty_choices``; well-formed answers: ``refusal content_filter length
empty_content``, ``thinking`` (cut while it still thinks: no content), ``misplaced`` (in vLLM's place for thoughts).
Beside its rule's keys a fault takes ``retry_after`` (seconds) with ``header`` (``retry-after``, ``retry-after-ms``,
``retry-after-date`` or ``x-ratelimit-reset-requests``), and any key of a scripted reply, such as ``delay_ms`` or
``message``.

A scripted reply is a text, or an object of: ``content`` (text, or JSON to be written as text), ``finish_reason``,
``refusal``, ``status``, ``body`` (JSON or text), ``message`` (of the error), ``headers`` (object), ``content_type``,
``raw`` (bytes on the wire as latin-1 text, then close), ``drop`` (true or "mid" or "reset"), ``hang_s`` (seconds more,
or true for ever), ``delay_ms`` (instead of the drawn latency), ``fault`` (a kind; with ``retry_after``, ``header``).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from tests.fake_server.wire import JSON_TYPE, error_body

# kind: (status, message, type, code); a bare status that is not here gets its HTTP phrase.
ERRORS: dict[str, tuple[int, str, str, str | None]] = {
    "400": (400, "Invalid request.", "invalid_request_error", None),
    "400_context": (
        400,
        "This model's maximum context length is 8192 tokens. Please reduce the length of the messages.",
        "invalid_request_error",
        "context_length_exceeded",
    ),
    "401": (401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    "403": (403, "You are not allowed to sample from this model.", "invalid_request_error", None),
    "404_model": (404, "The model does not exist.", "invalid_request_error", "model_not_found"),
    "429": (429, "Rate limit reached for requests.", "requests", "rate_limit_exceeded"),
    "429_quota": (429, "You exceeded your current quota.", "insufficient_quota", "insufficient_quota"),
    "500": (500, "The server had an error while processing your request.", "server_error", None),
    "503": (503, "The engine is currently overloaded, please try again later.", "server_error", None),
}
HTML = "<!DOCTYPE html><html><title>Sign in</title><body><h1>Welcome to the hotel's network</h1></body></html>"
REPLY_KEYS = {
    "content", "finish_reason", "refusal", "status", "body", "message", "headers", "content_type", "raw", "drop",
    "hang_s", "delay_ms", "fault", "retry_after", "header",
}  # fmt: skip


class ReplyError(ValueError):
    """A reply or fault that cannot be read."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer where it is not the default answer. ``form`` bends a chat answer that is otherwise whole."""

    kind: str = ""
    status: int = 200
    content: str | None = None
    finish_reason: str | None = None
    refusal: str | None = None
    body: bytes | None = None
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    retry_after_date_s: float | None = None
    raw: bytes | None = None
    drop: str = ""  # "", "before", "mid" or "reset"
    hang_s: float = 0.0
    delay_ms: float | None = None
    form: str = ""  # "", "truncated", "malformed", "empty_choices", "cut", "empty", "thinking" or "misplaced"

    def all_headers(self) -> list[tuple[str, str]]:
        if self.retry_after_date_s is None:
            return list(self.headers)
        return [
            *self.headers,
            ("retry-after", formatdate(math.ceil(time.time() + self.retry_after_date_s), usegmt=True)),
        ]


KINDS = {
    "drop": Reply(drop="before"),
    "drop_mid": Reply(drop="mid"),
    "reset": Reply(drop="reset"),
    "hang": Reply(hang_s=math.inf),
    "html": Reply(body=HTML.encode(), content_type="text/html; charset=utf-8"),
    "truncated_json": Reply(form="truncated"),
    "malformed_json": Reply(form="malformed"),
    "empty_choices": Reply(form="empty_choices"),
    "refusal": Reply(refusal="I'm sorry, I cannot assist with that request."),
    "content_filter": Reply(finish_reason="content_filter", form="empty"),
    "length": Reply(finish_reason="length", form="cut"),
    "empty_content": Reply(form="empty"),
    "thinking": Reply(finish_reason="length", form="thinking"),
    "misplaced": Reply(form="misplaced"),
}


def fault_reply(given: Mapping[str, Any]) -> Reply:
    """``{"kind": …}`` with its options. Raises ReplyError."""
    rest = {name: value for name, value in given.items() if name != "kind"}
    if "kind" not in given:
        raise ReplyError("a fault needs a kind")
    return scripted_reply({**rest, "fault": str(given["kind"])})


def scripted_reply(given: Any) -> Reply:
    """A text or an object, as the module's docstring lists them. Raises ReplyError."""
    if isinstance(given, str):
        return Reply(content=given)
    if not isinstance(given, Mapping):
        raise ReplyError("a reply is a text or an object")
    unknown = set(given) - REPLY_KEYS
    if unknown:
        raise ReplyError(f"unknown {', '.join(sorted(unknown))} in a reply; known: {', '.join(sorted(REPLY_KEYS))}")
    kind = str(given.get("fault", ""))
    status = int(given.get("status", 200))
    reply = Reply()
    if kind or status != 200:
        reply = replace(_of_kind(kind or str(status), given.get("message")), kind=kind)
    changes: dict[str, Any] = {
        name: given[name] for name in ("finish_reason", "refusal", "delay_ms", "content_type") if name in given
    }
    if "status" in given:
        changes["status"] = status
    if "content" in given:
        changes["content"] = _text(given["content"])
    if "body" in given:
        changes["body"] = _text(given["body"]).encode()
    if "raw" in given:
        changes["raw"] = str(given["raw"]).encode("latin-1")
    if "drop" in given:
        drop = given["drop"]
        changes["drop"] = "before" if drop is True else str(drop or "")
        if changes["drop"] not in ("", "before", "mid", "reset"):
            raise ReplyError('drop is true, "mid" or "reset"')
    if "hang_s" in given:
        changes["hang_s"] = math.inf if given["hang_s"] in (True, None) else float(given["hang_s"])
    headers = [(str(name), str(value)) for name, value in dict(given.get("headers", {})).items()]
    if "retry_after" in given:
        name, seconds = str(given.get("header", "retry-after")).lower(), float(given["retry_after"])
        if name == "retry-after-date":
            changes["retry_after_date_s"] = seconds
        else:
            headers.append((name, retry_header(name, seconds)))
    return replace(reply, headers=tuple(headers), **changes)


def retry_header(name: str, seconds: float) -> str:
    """The header's value in the form its senders use: seconds, milliseconds, or a Go duration."""
    if name == "retry-after":
        return f"{seconds:g}"
    if name == "retry-after-ms":
        return f"{seconds * 1000:.0f}"
    if name == "x-ratelimit-reset-requests":
        if seconds < 1:
            return f"{seconds * 1000:.0f}ms"
        minutes, rest = divmod(seconds, 60)
        return f"{minutes:.0f}m{rest:g}s" if minutes else f"{rest:g}s"
    raise ReplyError(f"no retry header {name!r}: retry-after, -ms, -date, or x-ratelimit-reset-requests")


def _of_kind(kind: str, message: str | None) -> Reply:
    if kind in KINDS:
        return KINDS[kind]
    if kind in ERRORS:
        status, text, type_, code = ERRORS[kind]
    elif len(kind) == 3 and kind.isdigit() and int(kind) in set(HTTPStatus):
        status, code = int(kind), None
        text, type_ = HTTPStatus(status).phrase, "server_error" if status >= 500 else "invalid_request_error"
    else:
        raise ReplyError(f"no fault kind {kind!r}; known: any HTTP status, {', '.join([*ERRORS, *KINDS])}")
    return Reply(status=status, body=error_body(message or text, type_, code))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
