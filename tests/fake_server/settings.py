"""What can be set, by ``POST /control``, ``--settings`` or ``FakeServer.configure``; null restores a default.

``seed`` int (0): seeds every latency and fault draw, together with the request's bytes and the attempt number
``latency`` ``{"fixed_ms"}`` or ``{"median_ms", "p99_ms", "cap_ms"?, "min_ms"?}`` (lognormal)
``scripts`` list of ``{"match"?: regex, "replies": [reply, …], "cycle"?: bool}``; ``replies.py`` describes replies
``faults`` list of ``{"kind", "ratio"?, "match"?, "attempts"?, "per_attempt"?, …}``; kinds are in ``replies.py``
``rate_limit`` ``{"rpm", "burst"?}``; burst defaults to a second's worth
``auth`` ``{"api_key"}``: any other key is answered 401
``models`` list of names: any other model is answered 404
``usage`` bool (true): whether answers carry ``usage``
``dialect`` ``openai``, ``vllm``, ``vllm_0.10`` or ``sglang`` (openai): whose form answers and errors have
``reasoning`` bool or text (false): adds ``reasoning_content`` to messages, unless a request's
    ``chat_template_kwargs`` have ``enable_thinking`` false
``cached_tokens`` bool or ``{"block"?: 16, "capacity"?: 100000}`` (false): simulates a prefix cache
``track`` bool (true): remember each distinct body; false bounds memory, and makes ``distinct`` and ``repeats`` null
``vary`` bool (false): at temperature > 0, asking the same body again gives another text
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from tests.fake_server.dialects import DIALECTS
from tests.fake_server.limits import Latency
from tests.fake_server.replies import Reply, ReplyError, fault_reply, scripted_reply

RULE_KEYS = {"ratio", "match", "attempts", "per_attempt"}


class SettingsError(ValueError):
    """A setting that does not exist or has the wrong shape; answered 400 by ``/control``."""


@dataclass(frozen=True)
class Script:
    pattern: re.Pattern[str] | None
    replies: tuple[Reply, ...]
    cycle: bool

    def reply(self, attempt: int) -> Reply:
        """The ``attempt``-th request of one body, from 1, gets the ``attempt``-th reply; the last one repeats."""
        count = len(self.replies)
        return self.replies[(attempt - 1) % count if self.cycle else min(attempt, count) - 1]


@dataclass(frozen=True)
class Fault:
    """Hits requests whose draw in [0, 1) lies in this rule's own interval: the ratios of several rules add up."""

    reply: Reply
    pattern: re.Pattern[str] | None
    low: float
    ratio: float | None
    attempts: int | None
    per_attempt: bool

    def covers(self, draw: float) -> bool:
        return self.ratio is None or (draw - self.low) % 1.0 < self.ratio


@dataclass(frozen=True)
class Settings:
    """Checked settings. ``given`` is the JSON they were made of."""

    seed: int = 0
    latency: Latency | None = None
    scripts: tuple[Script, ...] = ()
    faults: tuple[Fault, ...] = ()
    rate_limit: Mapping[str, float] | None = None
    auth: Mapping[str, str] | None = None
    models: tuple[str, ...] = ()
    usage: bool = True
    reasoning: bool | str = False
    dialect: str = "openai"
    cached_tokens: Mapping[str, int] | None = None
    track: bool = True
    vary: bool = False
    given: Mapping[str, Any] = field(default_factory=dict)

    def merged(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with ``changes``, whole top-level values at a time. Raises SettingsError."""
        if not isinstance(changes, Mapping):
            raise SettingsError("settings are a JSON object")
        names = [f.name for f in fields(self) if f.name != "given"]
        for name in changes:
            if name not in names:
                near = difflib.get_close_matches(name, names, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known ones: {', '.join(names)}"
                raise SettingsError(f"there is no setting {name!r}; {hint}")
        given = {name: value for name, value in {**self.given, **changes}.items() if value is not None}
        checked = {}
        for name, value in given.items():
            try:
                checked[name] = READERS[name](value)
            except (ReplyError, TypeError, ValueError, KeyError, AttributeError, re.error) as error:
                reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else error
                raise SettingsError(f"{name}: {reason}") from error
        return Settings(**checked, given=given)


def _dialect(value: str) -> str:
    if value not in DIALECTS:
        raise SettingsError(f"one of {', '.join(DIALECTS)}")
    return value


def _rate_limit(value: Mapping[str, float]) -> Mapping[str, float]:
    rpm = float(value["rpm"])
    if rpm <= 0:
        raise SettingsError("rpm must be above 0")
    _only(value, {"rpm", "burst"})
    return {"rpm": rpm, "burst": float(value.get("burst") or max(1.0, rpm / 60))}


def _auth(value: Mapping[str, str]) -> Mapping[str, str]:
    _only(value, {"api_key"})
    return {"api_key": str(value["api_key"])}


def _latency(value: Mapping[str, float]) -> Latency:
    _only(value, {"fixed_ms", "median_ms", "p99_ms", "cap_ms", "min_ms"})
    return Latency(**value)


def _cached_tokens(value: bool | Mapping[str, int]) -> Mapping[str, int] | None:
    if value is False:
        return None
    given = {} if value is True else dict(value)
    _only(given, {"block", "capacity"})
    return {"block": int(given.get("block", 16)), "capacity": int(given.get("capacity", 100_000))}


def _script(value: Mapping[str, Any]) -> Script:
    _only(value, {"match", "replies", "cycle"})
    replies = tuple(scripted_reply(reply) for reply in _list(value["replies"]))
    if not replies:
        raise SettingsError("a script needs at least one reply")
    return Script(_pattern(value), replies, bool(value.get("cycle", False)))


def _faults(values: list[Mapping[str, Any]]) -> tuple[Fault, ...]:
    faults, low = [], 0.0
    for value in _list(values):
        reply = fault_reply({name: part for name, part in value.items() if name not in RULE_KEYS})
        ratio, attempts = value.get("ratio"), value.get("attempts")
        if ratio is not None and not 0 <= ratio <= 1:
            raise SettingsError("ratio lies between 0 and 1")
        faults.append(Fault(reply, _pattern(value), low, ratio, attempts, bool(value.get("per_attempt", False))))
        low += ratio or 0.0
    return tuple(faults)


def _pattern(value: Mapping[str, Any]) -> re.Pattern[str] | None:
    return re.compile(value["match"], re.DOTALL) if value.get("match") else None


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise SettingsError("a JSON list is wanted")
    return value


def _only(value: Mapping[str, Any], known: set[str]) -> None:
    unknown = set(value) - known
    if unknown:
        raise SettingsError(f"unknown {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")


READERS: dict[str, Callable[[Any], Any]] = {
    "seed": int,
    "latency": _latency,
    "scripts": lambda values: tuple(_script(value) for value in _list(values)),
    "faults": _faults,
    "rate_limit": _rate_limit,
    "auth": _auth,
    "models": lambda values: tuple(str(value) for value in _list(values)),
    "usage": bool,
    "reasoning": lambda value: value if isinstance(value, str) else bool(value),
    "dialect": _dialect,
    "cached_tokens": _cached_tokens,
    "track": bool,
    "vary": bool,
}
