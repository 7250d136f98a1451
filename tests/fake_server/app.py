"""The server's behaviour: routes, admission (key, model, rate), and the life of one call from arrival to answer.

``App.handle`` answers what is not an API call at once. An API call is refused by its settings at once, or its answer is
prepared, delayed by the drawn latency, and sent; it counts as in flight until then.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from urllib.parse import parse_qs, unquote

from tests.fake_server.answers import Answer, Asked, InvalidRequest, error_answer, render
from tests.fake_server.limits import PrefixCache, TokenBucket, draw
from tests.fake_server.replies import ERRORS, Reply, retry_header
from tests.fake_server.settings import Settings, SettingsError
from tests.fake_server.stats import Body, Stats
from tests.fake_server.wire import Connection, Request, error_body, json_response

CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
AZURE = "/openai/deployments/"
PLAIN = Reply()


class Call:
    """An API call whose answer is prepared and waits for its time."""

    __slots__ = ("answer", "app", "body", "connection", "slot", "started", "stats", "timer")

    def __init__(self, app: App, connection: Connection, stats: Stats, body: Body | None, answer: Answer) -> None:
        self.app, self.connection, self.stats, self.body, self.answer = app, connection, stats, body, answer
        self.slot = -1
        self.started = 0.0
        self.timer: asyncio.TimerHandle | None = None

    def delay(self, latency_ms: float) -> None:
        """Answer after ``latency_ms``; infinity never answers."""
        self.started = self.app.loop.time()
        self.slot = self.stats.impose(latency_ms if latency_ms < math.inf else 0.0)
        if latency_ms <= 0:
            self.finish()
            return
        self.connection.call = self
        if latency_ms < math.inf:
            self.timer = self.app.loop.call_at(self.started + latency_ms / 1000, self.finish)

    def finish(self) -> None:
        stats, answer = self.stats, self.answer
        if self.connection.gone:
            self.abandon()
            return
        stats.in_flight -= 1
        stats.bytes_out += len(answer.data)
        if answer.kind:
            stats.faults[answer.kind] += 1
        if answer.status:
            stats.status[answer.status] += 1
        else:
            stats.dropped += 1
        if answer.complete:
            stats.answered += 1
            stats.prompt_tokens += answer.prompt_tokens
            stats.completion_tokens += answer.completion_tokens
            stats.cached_tokens += answer.cached_tokens
            if self.body is not None:
                stats.answered_again += self.body.answered > 0
                self.body.answered += 1
        if answer.reset:
            self.connection.reset()
        else:
            self.connection.send(answer.data, answer.close)

    def abandon(self) -> None:
        """The client went away before the answer."""
        self.connection.call = None
        if self.timer is not None:
            self.timer.cancel()
        self.stats.in_flight -= 1
        self.stats.abandoned += 1
        if self.answer.kind:
            self.stats.faults[self.answer.kind] += 1
        if self.slot >= 0:
            self.stats.cut_short(self.slot, (self.app.loop.time() - self.started) * 1000)


class App:
    """All state of one server. Lives on one event loop; nothing here is for other threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: Settings) -> None:
        self.loop = loop
        self._at_start = settings
        self.reset(settings)

    def reset(self, settings: Settings) -> None:
        """Forget every count; calls in flight go on, and are counted nowhere."""
        self.settings = settings
        self.stats = Stats(settings.track)
        self._bucket = TokenBucket(**settings.rate_limit) if settings.rate_limit else None
        self._prefixes = PrefixCache(**settings.cached_tokens) if settings.cached_tokens else None

    def configure(self, settings: Settings) -> None:
        """Take new settings and keep the counts."""
        old, self.settings = self.settings, settings
        if old.rate_limit != settings.rate_limit:
            self._bucket = TokenBucket(**settings.rate_limit) if settings.rate_limit else None
        if old.cached_tokens != settings.cached_tokens:
            self._prefixes = PrefixCache(**settings.cached_tokens) if settings.cached_tokens else None
        self.stats.track = settings.track
        if not settings.track:
            self.stats.bodies.clear()

    def handle(self, connection: Connection, request: Request) -> None:
        path, _, query = request.target.partition("?")
        deployment = None
        if path.startswith(AZURE):
            deployment, _, path = path[len(AZURE) :].partition("/")
            deployment, path = unquote(deployment), f"/v1/{path}"
        if request.method == "POST" and path in (CHAT, EMBEDDINGS):
            self._call(connection, request, path == EMBEDDINGS, deployment)
        else:
            connection.send(self._administer(request, path, query))

    def _administer(self, request: Request, path: str, query: str) -> bytes:
        wanted = parse_qs(query)
        match request.method, path:
            case "GET", "/stats":
                return json_response(200, self.stats.report("latencies" in wanted, "bodies" in wanted))
            case "POST", "/control":
                try:
                    self.configure(self.settings.merged(json.loads(request.body)))
                except (SettingsError, ValueError) as error:
                    return json_response(400, {"error": {"message": str(error)}})
                return json_response(200, self.settings.given)
            case "POST", "/reset":
                self.reset(self._at_start if "settings" in wanted else self.settings)
                return json_response(200, self.settings.given)
            case "GET", "/v1/models":
                names = self.settings.models or ("fake",)
                models = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in names]
                return json_response(200, {"object": "list", "data": models})
        return self._not_found(request)

    def _not_found(self, request: Request) -> bytes:
        return json_response(404, {"error": {"message": f"no {request.method} {request.target} here"}})

    def _call(self, connection: Connection, request: Request, embeddings: bool, deployment: str | None) -> None:
        """One API call: refused at once, or prepared and delayed."""
        settings, stats = self.settings, self.stats
        stats.begin(len(request.head) + 2 + len(request.body))
        if connection.counted_in is not stats:
            connection.counted_in = stats
            stats.connections += 1
        try:
            asked = Asked(request.body, embeddings, deployment)
        except InvalidRequest as error:
            answer = error_answer(400, error_body(str(error)), [])
            Call(self, connection, stats, None, answer).finish()
            return
        body = stats.seen(asked.key, asked.last_user)
        refusal = self._refusal(request, asked)
        if refusal is not None:
            Call(self, connection, stats, body, refusal).finish()
            return
        if body is not None:
            body.admitted += 1
        attempt, reply = self._choose(asked, body)
        cached = self._prefixes.look_up_and_store(asked.texts) if self._prefixes is not None else 0
        answer = render(asked, reply, settings, attempt, cached)
        if reply.delay_ms is not None:
            latency = reply.delay_ms
        elif settings.latency is not None:
            latency = settings.latency.sample_ms(settings.seed, asked.key, attempt)
        else:
            latency = 0.0
        Call(self, connection, stats, body, answer).delay(latency + reply.hang_s * 1000)

    def _refusal(self, request: Request, asked: Asked) -> Answer | None:
        """What the settings refuse whatever the draw: key, model, rate."""
        settings = self.settings
        if settings.auth is not None:
            key = settings.auth["api_key"]
            if request.header("authorization") != f"Bearer {key}" and request.header("api-key") != key:
                return _error("401", [])
        if settings.models and asked.model not in settings.models:
            text = f"The model `{asked.model}` does not exist or you do not have access to it."
            return error_answer(404, error_body(text, code="model_not_found"), [])
        if self._bucket is not None:
            wait = self._bucket.take(self.loop.time())
            if wait:
                self.stats.rejected += 1
                headers = [(name, retry_header(name, _up(wait, name))) for name in ("retry-after", "retry-after-ms")]
                headers.append(("x-ratelimit-limit-requests", f"{self._bucket.rpm:g}"))
                return _error("429", [*headers, ("x-ratelimit-remaining-requests", "0")])
        self.stats.accepted += 1
        return None

    def _choose(self, asked: Asked, body: Body | None) -> tuple[int, Reply]:
        """Which attempt of its body this is, and the reply that scripts, then faults, give it."""
        settings = self.settings
        attempt = body.admitted if body is not None else 0  # 0: not counted yet

        def number() -> int:
            if body is not None:
                return body.admitted
            self.stats.attempts[asked.key] += 1
            return self.stats.attempts[asked.key]

        for script in settings.scripts:
            if _matches(script.pattern, asked):
                attempt = attempt or number()
                return attempt, script.reply(attempt)
        for fault in settings.faults:
            if not _matches(fault.pattern, asked):
                continue
            # With tracking off, only the bodies that a rule covers are counted, and so remembered.
            if fault.per_attempt:
                attempt = attempt or number()
            if fault.covers(self._draw(asked, attempt if fault.per_attempt else 0)):
                attempt = attempt or number()
                if fault.attempts is None or attempt <= fault.attempts:
                    return attempt, fault.reply
        return attempt or 1, PLAIN

    def _draw(self, asked: Asked, attempt: int) -> float:
        return draw(self.settings.seed, asked.key, f"fault {attempt}")


def _matches(pattern: re.Pattern[str] | None, asked: Asked) -> bool:
    """Whether the rule is for this request: its last user message, or else its whole body."""
    if pattern is None:
        return True
    return bool(pattern.search(asked.last_user) or pattern.search(asked.body.decode(errors="replace")))


def _error(kind: str, headers: list[tuple[str, str]]) -> Answer:
    status, message, type_, code = ERRORS[kind]
    return error_answer(status, error_body(message, type_, code), headers)


def _up(seconds: float, name: str) -> float:
    """Rounded up to what the header can say, so that a client which obeys it finds a token."""
    return float(math.ceil(seconds)) if name == "retry-after" else math.ceil(seconds * 1000) / 1000
