"""What a run may spend: USD, tokens, calls. Asked before every call goes out, calls in flight counted.

A call's cost is not known before its answer, so each reserves an estimate: its prompt by the characters a token has had
so far, its answer by the longest of its kind allowed (`max_tokens`) until enough answers tell what is usual. Where the
reservation does not fit while others are in flight, the call waits for them to land; where it does not fit with none in
flight, the run stops.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from distil_sql.engine.call import Call
from distil_sql.errors import OptionError, RunError
from distil_sql.models.base import Completion

_ENOUGH_ANSWERS = 20
_FIRST_GUESS = 256  # tokens of an answer, where nothing says more
_MARGIN = 1.5


class BudgetReached(RunError):
    """The run would spend more than it may."""


@dataclass
class _Usual:
    """What calls of one model have been like."""

    answers: int = 0
    output_tokens: int = 0
    input_tokens: int = 0
    characters: int = 0

    def tokens(self, call: Call) -> tuple[int, int]:
        """Estimated input and output tokens of a call."""
        a_token = self.characters / self.input_tokens if self.input_tokens else 4.0
        allowed = call.request.sampling.max_tokens
        if call.request.embeds:
            output = 0
        elif self.answers >= _ENOUGH_ANSWERS:
            output = round(self.output_tokens / self.answers * _MARGIN)
            output = min(output, allowed) if allowed else output
        else:
            output = allowed or _FIRST_GUESS
        return round(len(call.messages) / a_token) + 4, output


@dataclass
class Budget:
    """Limits (None: none) and what has been spent and reserved. Used inside the event loop only."""

    max_cost: float | None = None
    max_tokens: int | None = None
    max_calls: int | None = None
    cost: float = 0.0
    tokens: int = 0
    calls: int = 0
    _reserved: dict[int, tuple[float, int]] = field(default_factory=dict)
    _reserved_cost: float = 0.0
    _reserved_tokens: int = 0
    _usual: dict[str, _Usual] = field(default_factory=dict)

    @property
    def limited(self) -> bool:
        """Whether there is any limit at all."""
        return any(limit is not None for limit in (self.max_cost, self.max_tokens, self.max_calls))

    def check(self, call: Call) -> None:
        """OptionError for a call whose cost nobody knows, where cost is limited."""
        if self.max_cost is not None and call.model.type == "openai" and call.model.price is None:
            remedy = "give it price_in and price_out, 0 where it is free"
            raise OptionError(f"--max-cost needs the price of model {call.model.name!r}: {remedy}")

    def reserve(self, call: Call) -> bool:
        """Set aside what a call may cost; False where that does not fit."""
        if not self.limited:
            return True
        usual = self._usual.setdefault(call.model.name, _Usual())
        tokens_in, tokens_out = usual.tokens(call)
        cost, tokens = call.model.cost(tokens_in, tokens_out, 0) or 0.0, tokens_in + tokens_out
        if (
            (self.max_calls is not None and self.calls + len(self._reserved) + 1 > self.max_calls)
            or (self.max_cost is not None and self.cost + self._reserved_cost + cost > self.max_cost)
            or (self.max_tokens is not None and self.tokens + self._reserved_tokens + tokens > self.max_tokens)
        ):
            return False
        self._reserved[id(call)] = (cost, tokens)
        self._reserved_cost += cost
        self._reserved_tokens += tokens
        return True

    @property
    def waiting(self) -> bool:
        """Whether calls in flight may yet make room."""
        return bool(self._reserved)

    def settle(self, call: Call, completion: Completion | None) -> None:
        """A call has landed: what it cost takes the place of what was reserved for it."""
        reserved = self._reserved.pop(id(call), None)
        if reserved is None:
            return
        self._reserved_cost -= reserved[0]
        self._reserved_tokens -= reserved[1]
        if completion is None:
            return
        used = (completion.input_tokens, completion.output_tokens, completion.cached_tokens)
        usual = self._usual[call.model.name]
        usual.answers += 1
        usual.input_tokens += used[0]
        usual.output_tokens += used[1]
        usual.characters += len(call.messages)
        self.calls += 1
        self.tokens += used[0] + used[1]
        self.cost += call.model.cost(*used) or 0.0

    def reached(self) -> BudgetReached:
        """The sentence that ends the run."""
        limits = {"--max-cost": self.max_cost, "--max-tokens-total": self.max_tokens, "--max-calls": self.max_calls}
        named = ", ".join(f"{flag} {limit:g}" for flag, limit in limits.items() if limit is not None)
        spent = f"{self.calls:,} calls, {self.tokens:,} tokens" + (f", ${self.cost:,.4f}" if self.cost else "")
        return BudgetReached(
            f"stopped before spending more than {named} allows ({spent} so far); everything finished is kept:"
            " raise the limit and run again to go on"
        )
