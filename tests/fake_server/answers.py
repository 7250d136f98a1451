"""Parsed requests and the answers to them: chat completions and embeddings, in OpenAI's form, as prepared bytes."""

from __future__ import annotations

import base64
import json
import random
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from tests.fake_server import dialects
from tests.fake_server.replies import Reply
from tests.fake_server.schema import constrained_text
from tests.fake_server.settings import Settings
from tests.fake_server.wire import error_body, response

ECHO_CHARS = 60
EMBEDDING_DIMENSIONS = 8
CONSTRAINTS = {"response_format", "guided_json", "guided_choice", "structured_outputs"}


class InvalidRequest(Exception):
    """The body is not a request of this API; answered 400."""


@dataclass(slots=True)
class Answer:
    """Bytes to send. ``complete``: a well-formed answer sent whole, which a provider would bill."""

    data: bytes
    status: str  # as stats count it: "200", "429", … or "raw"; "" when nothing or half of it is sent
    complete: bool = False
    close: bool = False
    reset: bool = False
    kind: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


class Asked:
    """A request body, read. ``key`` stands for its bytes and ``last_user`` for its point."""

    __slots__ = ("body", "data", "embeddings", "key", "last_user", "model", "texts")

    def __init__(self, body: bytes, embeddings: bool, deployment: str | None) -> None:
        self.body = body
        self.embeddings = embeddings
        self.key = blake2b(body, key=(deployment or "").encode()[:64], digest_size=16).digest()
        try:
            data = json.loads(body)
            self.data: dict[str, Any] = data
            self.model = str(deployment or data["model"])
            if embeddings:
                given = data["input"]
                several = isinstance(given, list) and not (given and isinstance(given[0], int))
                self.texts = [str(one) for one in given] if several else [str(given)]
                self.last_user = self.texts[-1]
            else:
                messages = data["messages"]
                self.texts = [_text(message.get("content")) for message in messages]
                users = [i for i, message in enumerate(messages) if message.get("role") == "user"]
                self.last_user = self.texts[users[-1] if users else -1]
        except KeyError as error:
            raise InvalidRequest(f"you must provide {error.args[0]}") from error
        except (ValueError, TypeError, AttributeError, IndexError) as error:
            raise InvalidRequest(f"we could not parse the body of your request: {error}") from error
        if data.get("stream"):
            raise InvalidRequest("this server does not stream")

    @property
    def words(self) -> int:
        return sum([len(text.split()) for text in self.texts])


def render(asked: Asked, reply: Reply, settings: Settings, attempt: int, cached: int) -> Answer:
    """The answer to ``asked`` as ``reply`` wants it; with ``Reply()``, the default one."""
    if reply.raw is not None:
        return Answer(reply.raw, "raw", close=True, kind=reply.kind)
    if reply.drop in ("before", "reset"):
        return Answer(b"", "", close=True, reset=reply.drop == "reset", kind=reply.kind)
    if reply.body is not None or reply.status != 200:
        body = reply.body if reply.body is not None else error_body("")
        if settings.dialect != "openai" and reply.status != 200:
            body = dialects.error(settings.dialect, reply.status, body)
        data = response(reply.status, body, reply.all_headers(), reply.content_type)
        answer = Answer(data, str(reply.status), reply.status == 200 and b'"choices"' in body, kind=reply.kind)
    elif asked.embeddings:
        answer = _embeddings(asked, reply, settings)
    else:
        answer = _chat(asked, reply, settings, attempt, cached)
    if reply.drop == "mid":
        half = (answer.data.find(b"\r\n\r\n") + 4 + len(answer.data)) // 2
        return Answer(answer.data[:half], "", close=True, kind=reply.kind)
    return answer


def _chat(asked: Asked, reply: Reply, settings: Settings, attempt: int, cached: int) -> Answer:
    count = int(asked.data.get("n") or 1)
    texts = (
        [] if reply.form == "empty_choices" else [_content(asked, reply, settings, attempt, i) for i in range(count)]
    )
    finish = quoted(reply.finish_reason or "stop")
    silent = reply.refusal is not None or reply.form == "thinking"
    refusal = quoted(reply.refusal) if reply.refusal is not None else "null"
    thought, reasoning = "", ""
    kwargs = asked.data.get("chat_template_kwargs") or {}
    if settings.reasoning and kwargs.get("enable_thinking", True):
        thought = (
            settings.reasoning if isinstance(settings.reasoning, str) else f"Thinking about: {asked.last_user[:60]}"
        )
        reasoning = f',"reasoning_content":{quoted(thought)}'
    if settings.dialect != "openai":
        return _in_dialect(asked, reply, settings, texts, thought, cached)
    choices = ",".join(
        [
            f'{{"index":{i},"message":{{"role":"assistant","content":{"null" if silent else quoted(text)},'
            f'"refusal":{refusal}{reasoning}}},"logprobs":null,"finish_reason":{finish}}}'
            for i, text in enumerate(texts)
        ]
    )
    words = asked.words
    spoken = [reply.refusal] if reply.refusal is not None else texts
    thought_words = len(thought.split())
    written = sum([len(text.split()) for text in spoken]) + thought_words * len(texts)
    body = (
        f'{{"id":"chatcmpl-{asked.key.hex()[:24]}","object":"chat.completion","created":{int(time.time())},'
        f'"model":{quoted(asked.model)},"choices":[{choices}]'
    )
    if settings.usage:
        details = ""
        if settings.cached_tokens is not None:
            details += f',"prompt_tokens_details":{{"cached_tokens":{cached}}}'
        if thought:
            details += f',"completion_tokens_details":{{"reasoning_tokens":{thought_words * len(texts)}}}'
        counts = f'"prompt_tokens":{words},"completion_tokens":{written},"total_tokens":{words + written}'
        body += f',"usage":{{{counts}{details}}}'
    data = body.encode() + b"}"
    if reply.form == "truncated":
        data = data[: len(data) * 2 // 3]
    elif reply.form == "malformed":
        data = data.replace(b'"choices":[', b'"choices":[,', 1)
    complete = reply.form not in ("truncated", "malformed", "empty_choices")
    return Answer(
        response(200, data, reply.all_headers(), reply.content_type), "200", complete, kind=reply.kind,
        prompt_tokens=words, completion_tokens=written, cached_tokens=cached,
    )  # fmt: skip


def _in_dialect(
    asked: Asked, reply: Reply, settings: Settings, texts: Sequence[str], thought: str, cached: int
) -> Answer:
    """The same as another server would say it."""
    dialect, silent = settings.dialect, reply.form in ("thinking", "empty")
    finish = reply.finish_reason or "stop"
    said = [dialects.Said(None if silent else text, reply.refusal, thought, finish) for text in texts]
    if reply.form == "misplaced":
        said = [dialects.Said(None, None, text, finish) for text in texts]
    thoughts = len(thought.split()) * len(texts)
    written = sum(len((one.text or "").split()) for one in said) + thoughts
    value: dict[str, Any] = {
        "id": f"chatcmpl-{asked.key.hex()}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": asked.model,
        "choices": [dialects.choice(dialect, i, one) for i, one in enumerate(said)],
        **dialects.extras(dialect),
    }
    if settings.usage:
        reported = cached if settings.cached_tokens is not None else None
        value["usage"] = dialects.usage(dialect, asked.words, written, thoughts, reported)
    return Answer(
        response(200, json.dumps(value).encode(), reply.all_headers()), "200", True, kind=reply.kind,
        prompt_tokens=asked.words, completion_tokens=written, cached_tokens=cached,
    )  # fmt: skip


def _content(asked: Asked, reply: Reply, settings: Settings, attempt: int, index: int) -> str:
    if reply.form in ("empty", "thinking"):
        return ""
    if reply.content is not None:
        text = reply.content
    else:
        text = default_text(asked.data, asked.last_user, asked.key, attempt if settings.vary else 1, index)
    return text[: len(text) // 2] if reply.form == "cut" else text


def default_text(request: Mapping[str, Any], last_user: str, key: bytes, attempt: int, index: int) -> str:
    """At temperature 0 the last user message decides it; above, the whole body, its seed too, and the choice."""
    digest = blake2b(last_user.encode(errors="surrogatepass"), digest_size=16)
    temperature = request.get("temperature")
    if temperature is None or temperature > 0:
        digest.update(key)
        if index or attempt > 1:
            digest.update(b"%d %d" % (index, attempt))
    if not CONSTRAINTS.isdisjoint(request):
        text = constrained_text(request, digest.digest())
        if text is not None:
            return text
    return f"echo: {last_user[:ECHO_CHARS]} #{digest.hexdigest()[:8]}"


def _embeddings(asked: Asked, reply: Reply, settings: Settings) -> Answer:
    size = int(asked.data.get("dimensions") or EMBEDDING_DIMENSIONS)
    packed = asked.data.get("encoding_format") == "base64"
    data: list[dict[str, Any]] = []
    for i, text in enumerate(asked.texts):
        rng = random.Random(f"{asked.model} {text}")
        values = [rng.gauss(0, 1) for _ in range(size)]
        norm = sum(value * value for value in values) ** 0.5 or 1.0
        vector: Any = [round(value / norm, 6) for value in values]
        if packed:
            vector = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
        data.append({"object": "embedding", "index": i, "embedding": vector})
    words = asked.words
    body: dict[str, Any] = {"object": "list", "data": data, "model": asked.model}
    if settings.usage:
        body["usage"] = {"prompt_tokens": words, "total_tokens": words}
    encoded = json.dumps(body).encode()
    return Answer(response(200, encoded, reply.all_headers()), "200", True, kind=reply.kind, prompt_tokens=words)


def _text(content: Any) -> str:
    """A message's content: a text, a list of parts, or null."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content)
    return ""


def error_answer(status: int, body: bytes, headers: list[tuple[str, str]]) -> Answer:
    return Answer(response(status, body, headers), str(status))
