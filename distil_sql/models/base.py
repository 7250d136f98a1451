"""The seam between the engine and whatever answers: messages in, completion out.

A model is anything with an async `complete(request)`; it never sees DuckDB. Every failure leaves it as one `CallError`
that carries its kind, so that the engine can decide about retries and the ledger can record a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from distil_sql.prompt import Message

__all__ = ["TRANSIENT", "CallError", "Completion", "ErrorKind", "Message", "Model", "Request", "Sampling", "Told"]

ErrorKind = Literal[
    "rate_limited",
    "timeout",
    "connection",
    "server",
    "refused",
    "truncated",
    "unparsable",
    "context_length",
    "auth",
    "invalid_request",
]

TRANSIENT: frozenset[ErrorKind] = frozenset({"rate_limited", "timeout", "connection", "server"})
"""Kinds that may pass when the same call is made again."""

CLOSED = "the model was closed before it answered"
"""The message of calls that nobody waits for any more."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """What decides the answer beside the messages; None means the server's own default.

    The last five are of embedded models only, and set by the model alone: a call's key has them from `models.identity`.
    `logit_bias` adds to the scores of tokens, each named by its number or its text.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    repeat_penalty: float = field(default=1.0, repr=False)
    presence_penalty: float = field(default=0.0, repr=False)
    frequency_penalty: float = field(default=0.0, repr=False)
    logit_bias: tuple[tuple[str, float], ...] = field(default=(), repr=False)
    logprobs: bool = field(default=False, repr=False)


@dataclass(slots=True)
class Request:
    """One call: the chat so far, how to sample, and the JSON schema the answer must have (None: free text).

    Not frozen, which would take it twice as long to be made; nobody changes one.
    `embeds`: the answer is the vector of the last message's text (see `models.embedding`), and nothing is sampled.
    `written`: the messages as compact JSON, where whoever asks has them so at hand.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    schema: Mapping[str, Any] | None = None
    sample: int = 0
    embeds: bool = False
    written: str = field(default="", compare=False, repr=False)


@dataclass(slots=True)
class Completion:
    """One answer. Token counts are those the model reported (0 where it reported none).

    `reasoning_tokens` are those of the output that were thoughts, and no part of the text.
    `probabilities` are those of the labels where the answer is one of few; `logprobs` the answer's tokens with the
    natural logarithms of their probabilities (None: the only text possible), where they were asked for.
    """

    text: str
    finish_reason: str = "stop"
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    probabilities: Mapping[str, float] | None = None
    logprobs: Sequence[tuple[str, float | None]] | None = None
    reasoning_tokens: int = 0


@dataclass(eq=False)
class CallError(Exception):
    """A call that got no answer.

    `fatal` means that no other call on this model can succeed either: a wrong key, no such model. `unreachable` means
    that the server itself is not there, which says nothing about the call.
    """

    kind: ErrorKind
    message: str
    retry_after: float | None = None
    fatal: bool = False
    completion: Completion | None = field(default=None, repr=False)
    unreachable: bool = False

    def __str__(self) -> str:
        return self.message


class Told(NamedTuple):
    """Limits that a server has told of in its answers' headers; None: not told."""

    requests_a_minute: float | None
    tokens_a_minute: float | None


class Model(Protocol):
    """What every model type offers. `complete` may be awaited by `concurrency` callers at once."""

    concurrency: int

    @property
    def told(self) -> Told | None:
        """The server's limits as its latest answers tell them; None where it tells none."""
        ...

    async def complete(self, request: Request) -> Completion:
        """Answer one request; raises `CallError`."""
        ...

    async def close(self) -> None:
        """Free connections, threads and memory; idempotent."""
        ...
