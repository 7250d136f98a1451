"""What travels through the engine: a call, the tally it counts for, and the key that makes it one and the same."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distil_sql.errors import DistilError
from distil_sql.ledger import Outcome
from distil_sql.models import identity
from distil_sql.models.base import CallError, Completion, Message, Request
from distil_sql.models.options import ModelSpec
from distil_sql.task import Task

Reader = Callable[[Sequence[str]], list[str | None]]
"""Reads responses; for each, None if it can be read, else what is wrong with it."""


@dataclass
class Tally:
    """What one statement's calls add up to. The writer thread alone changes `done` and below."""

    rows: int = 0
    open: int = 0  # asked and not in the ledger yet
    ahead: bool = False  # some were asked before the statement's turn: finding them answered is no ledger hit
    total: int = 0
    hits: int = 0
    failed_hits: int = 0
    done: int = 0
    failed: int = 0
    truncated: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: float = 0.0
    priced: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, *, asked: int = 0, hits: int = 0, failed_hits: int = 0) -> None:
        """Count calls asked and ledger hits; UDF threads do this side by side."""
        with self.lock:
            self.total += asked
            self.hits += hits
            self.failed_hits += failed_hits

    def finish(self, outcome: Outcome) -> None:
        """Count one finished call."""
        self.done += 1
        self.failed += outcome.status != "ok"
        self.truncated += outcome.finish_reason == "length"
        self.input_tokens += outcome.input_tokens
        self.output_tokens += outcome.output_tokens
        self.cached_tokens += outcome.cached_tokens
        if outcome.cost is not None:
            self.cost, self.priced = self.cost + outcome.cost, True


class Call:
    """One call on its way: the request, and what has happened to it so far."""

    __slots__ = (
        "attempts", "cached_tokens", "done", "first", "input_tokens", "key", "messages", "model", "output_tokens",
        "reasks", "reasoning_tokens", "rejections", "request", "run_id", "spent_s", "stopped", "tally", "task",
        "values",
    )  # fmt: skip

    def __init__(
        self,
        key: str,
        task: Task,
        model: ModelSpec,
        request: Request,
        messages: str,
        run_id: str,
        tally: Tally,
        values: Mapping[str, Any] | None,
    ) -> None:
        self.key, self.task, self.model, self.request, self.messages = key, task, model, request, messages
        self.run_id, self.tally = run_id, tally
        self.first = request.messages
        self.values = values  # the arguments that the task's PARSE reads; None where they are not known any more
        self.attempts = self.rejections = self.reasks = 0
        self.input_tokens = self.output_tokens = self.cached_tokens = self.reasoning_tokens = 0
        self.spent_s = 0.0
        self.done = False
        self.stopped: DistilError | None = None

    def count(self, completion: Completion) -> None:
        """Add the tokens of one answer: all attempts that the server answered are paid for."""
        self.input_tokens += completion.input_tokens
        self.output_tokens += completion.output_tokens
        self.cached_tokens += completion.cached_tokens
        self.reasoning_tokens += completion.reasoning_tokens

    def ask_better(self, answer: str, reason: str) -> None:
        """Turn this into a follow-up that shows the model its answer and what was wrong with it."""
        complaint = f"That answer cannot be used: {reason}. Answer again, in the form asked for and nothing else."
        follow_up: tuple[Message, ...] = (
            {"role": "assistant", "content": answer},
            {"role": "user", "content": complaint},
        )
        # only the latest answer is shown: the prompt stays short however often it is asked
        old = self.request
        self.request = Request((*self.first, *follow_up), old.sampling, old.schema, old.sample)
        self.reasks += 1

    def outcome(self, completion: Completion | None, error: CallError | None) -> Outcome:
        """The ledger's row for this call."""
        completion = completion or (error.completion if error else None)
        return Outcome(
            call_id=self.key,
            task=self.task.name,
            task_version=self.task.version,
            model=self.model.name,
            sample=self.request.sample,
            messages=self.messages,
            response=completion.text if completion else None,
            status="error" if error else "ok",
            error_kind=error.kind if error else None,
            error=error.message if error else None,
            finish_reason=completion.finish_reason if completion else None,
            attempts=self.attempts,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_tokens=self.cached_tokens,
            cost=self.model.cost(self.input_tokens, self.output_tokens, self.cached_tokens),
            latency_ms=self.spent_s * 1000,
            run_id=self.run_id,
            scores=_scores(completion) if completion else None,
            reasoning_tokens=self.reasoning_tokens,
        )


def _scores(completion: Completion) -> str | None:
    """What the model said of its answer, as the ledger keeps it."""
    found: dict[str, Any] = {}
    if completion.probabilities is not None:
        found["probabilities"] = dict(completion.probabilities)
    if completion.logprobs is not None:
        found["logprobs"] = [{"token": token, "logprob": logprob} for token, logprob in completion.logprobs]
    return json.dumps(found) if found else None


def request_for(task: Task, model: ModelSpec, messages: tuple[Message, ...] = (), sample: int = 0) -> Request:
    """What a task asks of a model."""
    if task.embeds:
        return Request(messages, sample=sample, embeds=True)
    return Request(messages, model.sampling(task.options), task.output.schema, sample)


def keys_for(model: ModelSpec, request: Request) -> Keys:
    """What makes the keys of all calls that ask a model for the same but the messages and the sample."""
    return Keys(identity(model, embeds=request.embeds), request)


_SAMPLES = 1024


class Keys:
    """Makes call keys for one (model, sampling, schema): a 128-bit BLAKE2b hash written as a UUID."""

    def __init__(self, identity: Sequence[str], request: Request) -> None:
        parts = [*identity, repr(request.sampling), json.dumps(request.schema, sort_keys=True)]
        self._base = hashlib.blake2b(digest_size=16)
        for part in parts:
            self._base.update(len(part.encode()).to_bytes(4, "big") + part.encode())
        self._of_sample: dict[int, Any] = {}

    def key(self, messages: str, sample: int) -> str:
        """The key of one rendered prompt and sample number."""
        base = self._of_sample.get(sample)
        if base is None:
            base = self._base.copy()
            base.update(b"%d:" % sample)
            if len(self._of_sample) < _SAMPLES:  # a sample for each row of a table would fill the memory
                self._of_sample[sample] = base
        digest = base.copy()
        digest.update(messages.encode("utf-8", "surrogatepass"))
        h = digest.hexdigest()
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
