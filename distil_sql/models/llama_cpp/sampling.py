"""Choosing the next token: greedy or drawn, free or held to a grammar.

A row draws from a generator of its own, keyed by seed, sample number and prompt, so that its answer is the same
whatever else is in the batch. Defaults (where a request says None) are llama.cpp's.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from distil_sql.models.base import Sampling
from distil_sql.models.llama_cpp.api import LlamaError, Logits, candidates
from distil_sql.models.llama_cpp.constraint import Constraint

TEMPERATURE, TOP_K, TOP_P, MIN_P = 0.8, 40, 0.95, 0.05
MAX_TOKENS = 512

PENALTY_WINDOW = 64
"""Tokens, of prompt and answer, that penalties look back on, as llama.cpp does."""

_WIDTHS = (64, 1024)
"""How many of the best tokens a grammar is asked about before all of them are: over a whole vocabulary it is slow."""


class Sampler:
    """One row's way of choosing. `bias` is what to add to the scores of tokens."""

    def __init__(
        self, sampling: Sampling, sample: int, prompt: Sequence[int], bias: Mapping[int, float] | None = None
    ) -> None:
        self.temperature = TEMPERATURE if sampling.temperature is None else sampling.temperature
        self.top_k = TOP_K if sampling.top_k is None else sampling.top_k
        self.top_p = TOP_P if sampling.top_p is None else sampling.top_p
        self.min_p = MIN_P if sampling.min_p is None else sampling.min_p
        self.repeat = sampling.repeat_penalty
        self.presence, self.frequency = sampling.presence_penalty, sampling.frequency_penalty
        self._penalises = (self.repeat, self.presence, self.frequency) != (1, 0, 0)
        self._biased = np.fromiter(bias or (), np.int64)
        self._bias = np.fromiter((bias or {}).values(), np.float32)
        key = hashlib.sha256(f"{sampling.seed or 0}:{sample}:".encode() + np.asarray(prompt, np.int32).tobytes())
        self._random = random.Random(key.digest())

    def adjusted(self, logits: Logits, tokens: Sequence[int]) -> Logits:
        """The logits with penalties for the last of `tokens` (prompt and answer so far) and with the biases."""
        if not self._penalises and not len(self._biased):
            return logits
        logits = logits.copy()
        if self._penalises:
            seen, counts = np.unique(np.asarray(tokens[-PENALTY_WINDOW:], np.int64), return_counts=True)
            scores = logits[seen]
            scores = np.where(scores > 0, scores / self.repeat, scores * self.repeat)
            logits[seen] = scores - counts * self.frequency - self.presence
        logits[self._biased] += self._bias
        return logits

    def choose(self, logits: Logits) -> int:
        """The index chosen among all of `logits`."""
        best = int(logits.argmax())
        if np.isnan(logits[best]):
            raise LlamaError("the model computes no numbers (NaN): its weights are damaged")
        return best if self.temperature <= 0 else self._draw(logits)

    def constrained(self, logits: Logits, grammar: Constraint) -> int:
        """The token chosen among those the grammar allows (and accepted by it).

        The free choice stands where the grammar allows it. Else the best tokens are tried, more and more of them: for
        greedy choice the same as asking about the whole vocabulary, else close to it.
        """
        token = self.choose(logits)
        if not grammar.allows(token):
            token = self._allowed(logits, grammar)
        grammar.accept(token)
        return token

    def _allowed(self, logits: Logits, grammar: Constraint) -> int:
        for width in (*(w for w in _WIDTHS if w < len(logits)), len(logits)):
            ids = _best(logits, width)
            some = candidates(ids, logits[ids])
            grammar.mask(some)
            allowed = np.flatnonzero(np.isfinite(some["logit"]))
            if len(allowed):
                return int(ids[allowed[self.choose(logits[ids[allowed]])]])
        raise LlamaError("no token of the model's vocabulary can continue an answer of this shape")

    def _draw(self, logits: Logits) -> int:
        """Keep the top_k, of them top_p of the mass, of them those above min_p of the best; draw by temperature."""
        ids = _best(logits, self.top_k if 0 < self.top_k < len(logits) else len(logits))
        scores = logits[ids].astype(np.float64)
        scores -= scores[0]
        chances = np.exp(scores)
        chances /= chances.sum()
        keep = len(ids)
        if self.top_p < 1:
            keep = int(np.searchsorted(np.cumsum(chances), self.top_p)) + 1
        if self.min_p > 0:
            keep = min(keep, int(np.count_nonzero(chances >= self.min_p * chances[0])))
        total = np.cumsum(np.exp(scores[: max(keep, 1)] / self.temperature))
        place = int(np.searchsorted(total, self._random.random() * total[-1], side="right"))
        return int(ids[min(place, len(total) - 1)])


def _best(logits: Logits, count: int) -> npt.NDArray[np.int32]:
    """The indexes of the `count` highest logits, best first, equal ones by index."""
    if count < len(logits):
        ids = np.sort(np.argpartition(logits, len(logits) - count)[-count:])
    else:
        ids = np.arange(len(logits))
    return ids[np.argsort(-logits[ids], kind="stable")].astype(np.int32)


def logprob(logits: Logits, token: int) -> float:
    """The natural logarithm of a token's probability at temperature 1."""
    scores = logits.astype(np.float64) - logits.max()
    return float(scores[token] - np.log(np.exp(scores).sum()))
