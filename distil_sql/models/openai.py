"""Any server that speaks OpenAI's chat completions (https://platform.openai.com/docs/api-reference/chat) or embeddings.

Calls go over `models.http` as prepared bytes, of whose answers only the fields in use are parsed.
"""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from distil_sql.models.address import address
from distil_sql.models.base import CallError, Completion, ErrorKind, Request, Sampling, Told
from distil_sql.models.embedding import Gatherer, packed, shares
from distil_sql.models.headers import retry_after, told_in
from distil_sql.models.http import HttpClient, Reply
from distil_sql.models.options import ModelSpec
from distil_sql.models.strict import is_strict, without_bounds

DEFAULT_TIMEOUT = 300.0

_KINDS: dict[int, ErrorKind] = {
    400: "invalid_request",
    401: "auth",
    403: "auth",
    404: "invalid_request",
    408: "timeout",
    409: "server",
    422: "invalid_request",
    425: "server",
    429: "rate_limited",
}
_COMMON = 256
_TOO_LONG = ("maximum context length", "model's context length", "maximum model length", "maximum allowed length")
"""What OpenAI, vLLM and SGLang say of a prompt that is too long."""
_MODERATED = ("moderat", "flagged", "content policy", "safety")
_FATAL_CODES = (
    "insufficient_quota",
    "model_not_found",
    "invalid_api_key",
    "billing_hard_limit_reached",
    "DeploymentNotFound",
)


class OpenAIModel:
    """One model of one server. The first call opens the connection."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.concurrency = spec.whole("concurrency") or 0
        self._client: HttpClient | None = None
        self.told: Told | None = None
        self._common: dict[tuple[int, int, int], tuple[tuple[Sampling, Mapping[str, Any] | None], str]] = {}
        self._url, self._headers = address(spec)  # here, not in the event loop, which the import would hold up
        self._texts = Gatherer(self._embed)

    def body(self, request: Request) -> bytes:
        """The JSON body of one call: what calls have in common is written once, the messages as they come."""
        seeded = request.sample if request.sampling.seed is not None else 0
        asked = request.sampling, request.schema
        key = (id(asked[0]), id(asked[1]), seeded)  # all calls of a task hold the same two: to hash them takes longer
        known = self._common.get(key)
        if known is None or known[0][0] is not asked[0] or known[0][1] is not asked[1]:
            if len(self._common) > _COMMON:
                self._common.clear()
            known = self._common[key] = (asked, _compact(self._parameters(request))[:-1])
        messages = request.written or _compact(request.messages)
        return f'{known[1]},"messages":{messages}}}'.encode()

    def _parameters(self, request: Request) -> dict[str, Any]:
        """The body without its messages."""
        sampling, spec = request.sampling, self.spec
        body: dict[str, Any] = {"model": spec.options["model"]}
        for name in ("temperature", "top_p", "top_k", "min_p", "max_tokens"):
            value = getattr(sampling, name)
            if value is not None:
                body[name] = value
        if sampling.seed is not None:
            body["seed"] = sampling.seed + request.sample
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if request.schema is not None and spec.structured == "json_schema":
            shape = without_bounds(request.schema)
            schema = {"name": "answer", "schema": shape, "strict": is_strict(shape)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif request.schema is not None and spec.structured == "json_object":
            body["response_format"] = {"type": "json_object"}
        elif request.schema is not None and spec.structured == "structured_outputs":  # vLLM
            body["structured_outputs"] = {"json": request.schema}
        elif request.schema is not None and spec.structured == "guided_json":  # vLLM before 0.12
            body["guided_json"] = request.schema
        extra = spec.options.get("extra")
        return {**body, **extra} if isinstance(extra, Mapping) else body

    async def complete(self, request: Request) -> Completion:
        """Answer one request; raises CallError with the server's own reason."""
        if request.embeds:
            return await self._texts.ask(request.messages[-1]["content"])
        reply = await self._post(self._url, self.body(request))
        if reply.headers and (told := told_in(reply.headers)) is not None:
            self.told = told
        try:
            return _completion(reply.body)
        except CallError as error:
            if error.completion is None:
                _completion(self._without_key(reply.body))  # the same error, of a body that may be shown
            raise

    async def _embed(self, texts: Sequence[str]) -> list[Completion]:
        """The vectors of several texts. A request holds many calls, so what servers tell of requests is no guide."""
        spec = self.spec
        body: dict[str, Any] = {"model": spec.options["model"], "input": list(texts), "encoding_format": "base64"}
        if (length := spec.whole("dimensions")) is not None:
            body["dimensions"] = length
        extra = spec.options.get("extra")
        body = {**body, **extra} if isinstance(extra, Mapping) else body
        url = "/embeddings".join(self._url.rsplit("/chat/completions", 1))
        reply = await self._post(url, _compact(body).encode())
        try:
            return _vectors(reply.body, texts, length)
        except CallError:
            _vectors(self._without_key(reply.body), texts, length)  # the same error, of a body that may be shown
            raise

    async def _post(self, url: str, body: bytes) -> Reply:
        if self._client is None:
            self._client = HttpClient(self._headers, self.spec.number("timeout") or DEFAULT_TIMEOUT)
        reply = await self._client.post(url, body)
        if reply.status != 200:
            if reply.headers and (told := told_in(reply.headers)) is not None:
                self.told = told
            raise _error(replace(reply, body=self._without_key(reply.body)), self.spec)
        return reply

    def _without_key(self, body: bytes) -> bytes:
        """Some servers quote the key back; it must not reach the ledger."""
        key = self.spec.api_key
        return body.replace(key.encode(), b"***") if key else body

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        await self._texts.close()
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _completion(body: bytes) -> Completion:
    try:
        reply = json.loads(body)
        choices = reply["choices"]
        usage = reply.get("usage") or {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CallError("server", f"the server's answer is not a chat completion: {_excerpt(body)}") from None
    if not choices:
        raise CallError("server", "the server's answer has an empty list of choices")
    try:
        choice = choices[0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
        finish = str(choice.get("finish_reason") or "stop")
        details = usage.get("prompt_tokens_details") or {}
        written = usage.get("completion_tokens_details") or {}
        if isinstance(text, list):  # content parts
            text = "".join(part.get("text") or "" for part in text)
        if not text and finish == "stop":
            text = _misplaced(message)
        text = (text or "").encode("utf-8", "replace").decode()  # half a surrogate pair can be stored nowhere
        completion = Completion(
            text,
            finish,
            int(usage.get("prompt_tokens") or 0),
            int(usage.get("completion_tokens") or 0),
            int(details.get("cached_tokens") or 0),
            reasoning_tokens=int(written.get("reasoning_tokens") or usage.get("reasoning_tokens") or 0),  # SGLang's
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CallError("server", f"the server's answer is not a chat completion: {_excerpt(body)}") from None
    if finish == "abort":
        raise CallError("server", "the server gave the answer up before its end", completion=completion)
    if not text and finish == "length" and any(message.get(name) for name in ("reasoning", "reasoning_content")):
        reason = (
            f"the model was still reasoning at max_tokens, after {completion.output_tokens} tokens: raise max_tokens, "
            "or have it reason less (an option of the server's, in extra)"
        )
        raise CallError("truncated", reason, completion=completion)
    if refusal or finish == "content_filter":
        reason = f"the model refused: {refusal}" if refusal else "the server's content filter stopped the answer"
        raise CallError("refused", reason, completion=completion)
    return completion


def _misplaced(message: Mapping[str, Any]) -> str | None:
    """JSON that vLLM took for a thought: its reasoning parser waits for an end of thinking that no grammar allows."""
    text = message.get("reasoning") or message.get("reasoning_content")
    with contextlib.suppress(ValueError, TypeError):
        if isinstance(text, str) and isinstance(json.loads(text), dict):
            return text
    return None


def _vectors(body: bytes, texts: Sequence[str], length: int | None) -> list[Completion]:
    try:
        reply = json.loads(body)
        data = sorted(reply["data"], key=lambda one: int(one["index"]))
        vectors = [packed(one["embedding"]) for one in data]
        tokens = int((reply.get("usage") or {}).get("prompt_tokens") or 0)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, struct.error):
        raise CallError("server", f"the server's answer is not a list of vectors: {_excerpt(body)}") from None
    if len(vectors) != len(texts):
        raise CallError("server", f"the server gave {len(vectors)} vectors for {len(texts)} texts")
    for vector in vectors:
        if length is not None and (given := len(vector.rstrip("=")) * 3 // 16) != length:
            reason = f"the server gives vectors of {given} numbers, not of {length} as the option dimensions says"
            raise CallError("invalid_request", reason, fatal=True)
    return [Completion(vector, input_tokens=n) for vector, n in zip(vectors, shares(tokens, texts), strict=True)]


def _error(reply: Reply, spec: ModelSpec) -> CallError:
    code, message = "", ""
    try:
        error = json.loads(reply.body)
        error = error.get("error", error) if isinstance(error, dict) else error
        if isinstance(error, dict):
            code = str(error.get("code") or error.get("type") or "")
            message = str(error.get("message") or error.get("detail") or "")
        else:
            message = str(error)
    except ValueError:
        message = _excerpt(reply.body)
    message = " ".join(message.split())[:300] or "no reason given"
    kind: ErrorKind = _KINDS.get(reply.status, "server" if reply.status >= 500 else "invalid_request")
    if code == "context_length_exceeded" or any(words in message for words in _TOO_LONG):
        kind = "context_length"
    elif code in ("content_filter", "content_policy_violation") or (
        reply.status == 403 and any(word in message.lower() for word in _MODERATED)
    ):
        kind = "refused"
    unknown_model = reply.status == 404 and "model" in f"{code} {message}".lower()
    no_credit = code == "insufficient_quota" or reply.status == 402
    fatal = kind == "auth" or code in _FATAL_CODES or unknown_model or reply.status == 404 or no_credit
    text = f"HTTP {reply.status}: {message}"
    if kind == "auth":
        variable = spec.api_key_env
        text = f"{spec.base_url} refused the API key (HTTP {reply.status})" + (
            f": check {variable}" if variable else ""
        )
    elif fatal and reply.status == 404:
        text = f"{spec.base_url} does not know the model {spec.options.get('model')!r}: {message}"
    elif no_credit:
        text = f"{spec.base_url} says the account has no quota left: {message}"
    return CallError(kind, text, retry_after=retry_after(reply.headers), fatal=fatal)


def _excerpt(body: bytes) -> str:
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return repr(text[:80] + ("…" if len(text) > 80 else ""))
