"""What a batch is made of: rows on their way from a prompt to an answer, and the slots they sit in."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

import numpy as np

from distil_sql.models.base import CallError
from distil_sql.models.llama_cpp.api import Logits
from distil_sql.models.llama_cpp.constraint import Constraint
from distil_sql.models.llama_cpp.labels import Reading
from distil_sql.models.llama_cpp.sampling import Sampler, logprob

Piece = Callable[[int], bytes]
"""The bytes a token adds to the answer."""


@dataclass(eq=False)
class Row:
    """One prompt and the answer so far. `done(row)` is called once, with `finish` or `error` set."""

    tokens: list[int]
    """The prompt's, and then those of the answer as far as it is known."""
    max_tokens: int
    sampler: Sampler
    done: Callable[[Row], None]
    grammar: Constraint | None = None
    reading: Reading | None = None
    """The answer is one of few, and read from their scores."""
    stop: tuple[bytes, ...] = ()
    answer: bytearray = field(default_factory=bytearray)
    generated: int = 0
    cached: int = 0
    logprobs: list[tuple[int, float | None]] | None = None
    finish: str = ""
    error: CallError | None = None
    cancelled: bool = False
    prompt: int = field(init=False)
    """How many of the tokens are the prompt's."""
    start: int = field(init=False)
    """How many were known before the model was asked: the prompt's, and those that its answer must begin with."""

    def __post_init__(self) -> None:
        self.prompt = self.start = len(self.tokens)

    @property
    def need(self) -> int:
        """Cells for the prompt and the longest answer."""
        return self.prompt + self.max_tokens

    @property
    def answering(self) -> bool:
        """The model has chosen a token, and it is to be read."""
        return len(self.tokens) > self.start

    def begin(self, piece: Piece) -> None:
        """Put the text that any answer begins with behind the prompt."""
        if self.reading is not None:
            self.tokens.extend(self.reading.labels.beginning)
        elif self.grammar is not None:
            self.follow(self.grammar, piece)
        self.start = len(self.tokens)

    def choose(self, logits: Logits, ends: Container[int], piece: Piece) -> None:
        """The next token, and what must come after it; sets `finish` where the answer ends."""
        scores = self.sampler.adjusted(logits, self.tokens)
        if self.reading is not None:
            self._read(self.reading, scores)
            return
        token = self.sampler.constrained(scores, self.grammar) if self.grammar else self.sampler.choose(scores)
        if self.logprobs is not None and token not in ends:
            self.logprobs.append((token, logprob(logits, token)))
        if token in ends:
            self.finish = "stop"
            return
        self.take(token, piece(token))
        if self.grammar is not None and self.finish != "stop":
            self.follow(self.grammar, piece)

    def follow(self, grammar: Constraint, piece: Piece) -> None:
        """Take the tokens that alone can come next."""
        ahead = grammar.ahead(self.answer)
        for token in ahead.tokens:
            if self.finish:
                return
            grammar.accept(token)
            if self.logprobs is not None:
                self.logprobs.append((token, None))
            self.take(token, piece(token))
        if ahead.ended:
            self.finish = "stop"

    def take(self, token: int, piece: bytes) -> None:
        """Add a token to the answer; sets `finish` where a stop text or `max_tokens` ends it."""
        longest = max(map(len, self.stop), default=0)
        start = max(0, len(self.answer) - longest)
        self.tokens.append(token)
        self.generated += 1
        self.answer += piece
        places = [place for text in self.stop if (place := self.answer.find(text, start)) >= 0]
        if places:
            del self.answer[min(places) :]
            self.finish = "stop"
        elif self.generated >= self.max_tokens:
            self.finish = "length"

    def _read(self, reading: Reading, scores: Logits) -> None:
        reading.take(scores)
        del self.tokens[self.start :]
        if reading.path is not None:
            self.tokens.extend(reading.path)
            return
        number = self.sampler.choose(reading.log_chances.astype(np.float32))
        self.answer += reading.labels.texts[number].encode()
        self.generated, self.finish = reading.labels.lengths[number], "stop"

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
    left: int = 0
    """When a row last left it, in the batch's steps."""
    waits_for: tuple[Slot, Row] | None = None
    """Another slot that is reading the beginning of this row's prompt, to be copied when it has."""

    @property
    def unread(self) -> int:
        """How many of its row's tokens are not in its cells; 0 while it waits for another slot."""
        return len(self.row.tokens) - len(self.cells) if self.row and self.waits_for is None else 0

    @property
    def running(self) -> bool:
        """One token of an answer is to be read, and no more."""
        return self.row is not None and self.row.answering and self.unread == 1

    @property
    def reading(self) -> bool:
        """A prompt is to be read, or a stretch of the answer."""
        return self.unread > 0 and not self.running

    def knows(self, prompt: Sequence[int]) -> int:
        """How many of a prompt's first tokens need not be computed again."""
        return common(self.cells[: self.prompt], prompt)

    def will_know(self, prompt: Sequence[int]) -> int:
        """The same for when the slot's own prompt has been read."""
        return self.knows(prompt) if self.row is None else common(self.row.tokens[: self.row.start], prompt)


def common(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two lists begin with in common."""
    most = min(len(left), len(right))
    if left[:most] == right[:most]:
        return most
    return bisect_left(range(most), True, key=lambda n: left[: n + 1] != right[: n + 1])
