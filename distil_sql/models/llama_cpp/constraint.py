"""An answer held to a schema: what may come next, and the stretches where only one text can.

`Form(weights, …)` is made once a schema; `form.begin()` gives a `Constraint` for one answer. Its `ahead()` looks as far
as the grammar leaves no choice (`{"score": `, a closing brace): that text is not worth a decode for each token.

Forced text is cut into tokens as the tokenizer cuts it, and ends before the first place where a token that reaches
beyond it could come (` 4` after `{"score":`), which is the model's to choose. Choosing token by token would give the
same text there; it could only cut it otherwise, and where it did, what follows may differ.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from distil_sql.models.llama_cpp.api import Candidates, Grammar, Weights, candidates

_EVERY_BYTE = {*range(1, 0xC0), *range(0xC2, 0xF5)}
"""Bytes that UTF-8 text is made of."""

_USUAL = b'a0"t,'
"""Bytes asked about first: mostly two of them may come, and so nothing is forced."""

_LONGEST, _KEPT, _FEW = 10_000, 4096, 64


@dataclass(frozen=True, slots=True)
class Ahead:
    """The tokens that must come next, and whether the answer ends after them."""

    tokens: tuple[int, ...] = ()
    ended: bool = False


_NOTHING = Ahead()


class Spelling:
    """The vocabulary by the bytes of its tokens."""

    def __init__(self, weights: Weights) -> None:
        self._tokenize, self.piece = weights.tokenize, weights.piece
        pieces = sorted((weights.piece(token), token) for token in range(weights.n_vocab))
        first = bisect_left(pieces, (b"\x01", 0))  # tokens without a text, and the zero byte, never come
        self._texts = [text for text, _ in pieces[first:]]
        self._tokens = np.array([token for _, token in pieces[first:]], np.int32)
        singles = {text[0]: token for text, token in reversed(pieces[first:]) if len(text) == 1}
        self.complete = singles.keys() >= _EVERY_BYTE
        self.bytes = sorted(singles)
        self.singles = np.array([singles[byte] for byte in self.bytes], np.int32)
        self.usual = np.array([singles[byte] for byte in _USUAL if byte in singles], np.int32)
        self.single = singles

    def tokens(self, text: bytes) -> list[int]:
        """A text in the middle of an answer as tokens; [] where the tokenizer cannot but change it."""
        plain = text.decode()
        for before in ("", "\n"):  # some put a space before what they take for a beginning
            tokens, lead = self._tokenize(before + plain), 0
            pieces = [self.piece(token) for token in tokens]
            while before and lead < len(pieces) and len(b"".join(pieces[lead:])) > len(text):
                lead += 1
            if b"".join(pieces[lead:]) == text:
                return tokens[lead:]
        return []

    def beyond(self, text: bytes, following: Sequence[int]) -> tuple[bool, npt.NDArray[np.int32]]:
        """Tokens that spell more than a text, which goes on with one of the bytes `following`.

        Whether one of them is the text and one such byte, and so fits for certain; else those that may fit.
        """
        low = bisect_left(self._texts, text + b"\x00")
        high = bisect_left(self._texts, text + b"\xff")
        if high - low > _FEW:
            parts = []
            for byte in following:
                start = text + bytes([byte])
                low, high = bisect_left(self._texts, start), bisect_left(self._texts, start + b"\xff")
                if low < high and self._texts[low] == start:
                    return True, self._tokens[low:low]
                parts.append(self._tokens[low:high])
            return False, np.concatenate(parts) if parts else self._tokens[:0]
        return False, self._tokens[low:high]


class Form:
    """A schema's grammar, and what was found to be forced in answers of it."""

    def __init__(self, weights: Weights, spelling: Spelling, gbnf: str) -> None:
        self.grammar = weights.grammar(gbnf)
        self.spelling = spelling
        self.end = min(weights.end_tokens, default=weights.eos)
        self._known: OrderedDict[bytes, Ahead] = OrderedDict()

    def begin(self) -> Constraint:
        """For one answer, from its beginning."""
        return Constraint(self, self.grammar.clone())

    def close(self) -> None:
        self.grammar.close()

    def ahead(self, grammar: Grammar, answer: bytes) -> Ahead:
        """What must follow this answer, with its grammar that far."""
        found = self._known.get(answer)
        if found is None:
            found = self._known[answer] = self._look(grammar)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(answer)
        return found

    def _look(self, grammar: Grammar) -> Ahead:
        spelling, text, following = self.spelling, bytearray(), list[int]()
        scout = grammar.clone()
        try:
            while len(text) < _LONGEST:
                following = _allowed_bytes(scout, spelling)
                if len(following) != 1 or scout.allows(self.end):
                    break
                text += bytes(following)
                scout.accept(spelling.single[following[0]])
            ended = not following and scout.allows(self.end)
        finally:
            scout.close()
        if text and text[0] & 0xC0 == 0x80:
            return _NOTHING  # the answer is in the middle of a character, which no tokenizer goes on from
        whole = len(text.decode(errors="ignore").encode())
        if whole < len(text):  # the forced text ends in the middle of a character
            following, text = [text[whole]], text[:whole]
        tokens = spelling.tokens(bytes(text)) if text else []
        kept = tokens if ended else tokens[: self._certain(grammar, tokens, bytes(text), following)]
        return Ahead(tuple(kept), ended and len(kept) == len(tokens) and bool(tokens or not text))

    def _certain(self, grammar: Grammar, tokens: Sequence[int], text: bytes, following: Sequence[int]) -> int:
        """How many of the tokens come before any that could reach beyond the text."""
        scout = grammar.clone()
        try:
            for number, token in enumerate(tokens):
                fits, others = self.spelling.beyond(text, following)
                if fits or (len(others) and _any_allowed(scout, others)):
                    return number
                scout.accept(token)
                text = text[len(self.spelling.piece(token)) :]
        finally:
            scout.close()
        return len(tokens)


class Constraint:
    """One answer's place in its form. `accept` only what it allows."""

    def __init__(self, form: Form, grammar: Grammar) -> None:
        self._form, self._grammar = form, grammar
        self.allows, self.mask, self.accept, self.close = grammar.allows, grammar.mask, grammar.accept, grammar.close

    def ahead(self, answer: bytearray) -> Ahead:
        """What must come next, whatever the model thinks of it."""
        spelling = self._form.spelling
        if not spelling.complete or np.count_nonzero(_allowed(self._grammar, self._usual)) > 1:
            return _NOTHING
        return self._form.ahead(self._grammar, bytes(answer))

    @cached_property
    def _usual(self) -> npt.NDArray[np.int32]:
        return self._form.spelling.usual


def _allowed(grammar: Grammar, tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    some: Candidates = candidates(tokens, np.zeros(len(tokens), np.float32))
    grammar.mask(some)
    return np.asarray(some["logit"] == 0.0)


def _any_allowed(grammar: Grammar, tokens: npt.NDArray[np.int32]) -> bool:
    return bool(_allowed(grammar, tokens).any())


def _allowed_bytes(grammar: Grammar, spelling: Spelling) -> list[int]:
    return [spelling.bytes[place] for place in np.flatnonzero(_allowed(grammar, spelling.singles))]
