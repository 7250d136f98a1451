"""What a batch is made of: rows on their way from a prompt to an answer, and the slots they sit in."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from distil_sql.models.base import CallError
from distil_sql.models.llama_cpp.api import Grammar
from distil_sql.models.llama_cpp.sampling import Sampler


@dataclass(eq=False)
class Row:
    """One prompt and the answer so far. `done(row)` is called once, with `finish` or `error` set."""

    tokens: list[int]
    max_tokens: int
    sampler: Sampler
    done: Callable[[Row], None]
    grammar: Grammar | None = None
    stop: tuple[bytes, ...] = ()
    answer: bytearray = field(default_factory=bytearray)
    generated: int = 0
    cached: int = 0
    next: int | None = None
    """The token chosen last, which the next decode takes; None while the prompt is being read."""
    finish: str = ""
    error: CallError | None = None
    cancelled: bool = False

    @property
    def need(self) -> int:
        """Cells for the prompt and the longest answer."""
        return len(self.tokens) + self.max_tokens

    def take(self, token: int, piece: bytes) -> None:
        """Add a token to the answer; sets `finish` where a stop text or `max_tokens` ends it."""
        longest = max(map(len, self.stop), default=0)
        start = max(0, len(self.answer) - longest)
        self.next = token
        self.generated += 1
        self.answer += piece
        places = [place for text in self.stop if (place := self.answer.find(text, start)) >= 0]
        if places:
            del self.answer[min(places) :]
            self.finish = "stop"
        elif self.generated >= self.max_tokens:
            self.finish = "length"

    def end(self) -> None:
        """Leave the batch: free the grammar, tell whoever waits."""
        if self.grammar is not None:
            self.grammar.close()
        self.done(self)


@dataclass(eq=False)
class Slot:
    """One sequence of the context: the tokens in its cells, and the row that uses it (None: idle, cells kept)."""

    sequence: int
    cells: list[int] = field(default_factory=list)
    prompt: int = 0
    """How many of the cells were read as a prompt; those of an answer were computed otherwise, and are not reused."""
    row: Row | None = None
    waits_for: tuple[Slot, Row] | None = None
    """Another slot that is reading the beginning of this row's prompt, to be copied when it has."""

    @property
    def reading(self) -> bool:
        return self.row is not None and self.row.next is None and self.waits_for is None

    @property
    def unread(self) -> int:
        return len(self.row.tokens) - len(self.cells) if self.row else 0

    def knows(self, prompt: Sequence[int]) -> int:
        """How many of a prompt's first tokens need not be computed again."""
        return common(self.cells[: self.prompt], prompt)

    def will_know(self, prompt: Sequence[int]) -> int:
        """The same for when the slot's own prompt has been read."""
        return self.knows(prompt) if self.row is None else common(self.row.tokens, prompt)


def common(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two lists begin with in common."""
    most = min(len(left), len(right))
    if left[:most] == right[:most]:
        return most
    return bisect_left(range(most), True, key=lambda n: left[: n + 1] != right[: n + 1])
