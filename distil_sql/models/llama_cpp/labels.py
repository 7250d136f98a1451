"""Answers from a closed set (ENUM, BOOLEAN, small whole numbers), read from scores instead of written out.

The labels' answers, cut into tokens as the tokenizer cuts them, make a tree; where it branches the model's scores share
the probability out among the branches. Labels that differ in their first token are read in one decode, the prompt's
own; others take one more for every branch that matters. A label's probability is the product along its way: what
drawing tokens at temperature 1 under the grammar would come to.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from distil_sql.models.llama_cpp.api import Logits

MOST = 256
"""Most labels of a set; a larger one is written out under its grammar."""

WORTH_A_DECODE = 1e-3
"""Probability of a branch from which its labels are told apart; those of a lesser one share it evenly."""

Schema = Mapping[str, Any]


def closed_set(schema: Schema) -> tuple[str, list[Any]] | None:
    """The name and the values of an object of one property that takes few values; None for any other schema."""
    properties: Mapping[str, Any] = schema.get("properties") or {}
    if schema.get("type") != "object" or len(properties) != 1 or schema.get("additionalProperties", True):
        return None
    ((name, inner),) = properties.items()
    if name not in schema.get("required", ()):
        return None
    values = _values(inner)
    if values is None or not 1 < len(values) <= MOST:
        return None
    return name, values


def _values(schema: Any) -> list[Any] | None:
    if not isinstance(schema, Mapping):
        return None
    if "const" in schema:
        return [schema["const"]]
    if "enum" in schema:
        return _distinct(schema["enum"])
    if "anyOf" in schema:
        parts = [_values(option) for option in schema["anyOf"]]
        return None if None in parts else _distinct([value for part in parts for value in part or ()])
    match schema.get("type"):
        case "boolean":
            return [True, False]
        case "null":
            return [None]
        case "integer":
            low, high = schema.get("minimum"), schema.get("maximum")
            if isinstance(low, int) and isinstance(high, int) and high - low < MOST:
                return list(range(low, high + 1))
    return None


def _distinct(values: Sequence[Any]) -> list[Any] | None:
    if any(isinstance(value, (list, dict)) for value in values):
        return None
    return list({json.dumps(value): value for value in values}.values())


@dataclass(slots=True)
class _Branch:
    """A place where labels part: the tokens from the common beginning to it, and what follows each next token."""

    path: tuple[int, ...]
    next: dict[int, _Branch | int] = field(default_factory=dict)
    """token -> a further branch, or the number of the one label that is left"""

    def labels(self) -> list[int]:
        return [n for end in self.next.values() for n in (end.labels() if isinstance(end, _Branch) else [end])]


class Labels:
    """A closed set in one model's tokens. `name` and `values` as `closed_set` gives them."""

    def __init__(self, tokenize: Callable[[bytes], Sequence[int]], name: str, values: Sequence[Any]) -> None:
        self.texts = [json.dumps({name: value}, ensure_ascii=False) for value in values]
        self.names = [value if isinstance(value, str) else json.dumps(value) for value in values]
        if len(set(self.names)) < len(self.names):  # the text "3" and the number
            self.names = [json.dumps(value, ensure_ascii=False) for value in values]
        spelled = [tuple(tokenize(text.encode())) for text in self.texts]
        self.usable = all(spelled) and len(set(spelled)) == len(spelled)
        self.lengths = [len(tokens) for tokens in spelled]
        self.root = _branch(spelled, list(range(len(spelled))), 0) if self.usable else _Branch(())
        self.beginning = self.root.path
        self.longest = max(self.lengths)


def _branch(spelled: Sequence[tuple[int, ...]], members: Sequence[int], start: int) -> _Branch:
    """The first place from token `start` on where the members part."""
    depth = start
    first = spelled[members[0]]
    # none is the beginning of another: each ends where its object closes
    while all(len(spelled[n]) > depth and spelled[n][depth] == first[depth] for n in members):
        depth += 1
    groups: dict[int, list[int]] = {}
    for number in members:
        groups.setdefault(spelled[number][depth], []).append(number)
    found = _Branch(first[:depth])
    for token, group in groups.items():
        found.next[token] = group[0] if len(group) == 1 else _branch(spelled, group, depth + 1)
    return found


class Reading:
    """One row's way through the tree: `take` the scores at a branch until `path` is None; then see `log_chances`."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.log_chances = np.full(len(labels.texts), -np.inf)
        self.path: tuple[int, ...] | None = ()
        """Tokens from the common beginning to the branch whose scores are wanted next."""
        self._at: _Branch = labels.root
        self._share = 0.0
        self._open: list[tuple[float, int, _Branch]] = []
        self._count = itertools.count()

    def take(self, logits: Logits) -> None:
        """The scores after `path`."""
        tokens = np.fromiter(self._at.next, np.int32)
        scores = logits[tokens].astype(np.float64)
        scores -= scores.max()
        scores += self._share - np.log(np.exp(scores).sum())
        for score, end in zip(scores.tolist(), self._at.next.values(), strict=True):
            if isinstance(end, _Branch):
                heapq.heappush(self._open, (-score, next(self._count), end))
            else:
                self.log_chances[end] = score
        if self._open and -self._open[0][0] > np.log(WORTH_A_DECODE):
            share, _, self._at = heapq.heappop(self._open)
            self._share = -share
            self.path = self._at.path[len(self.labels.beginning) :]
            return
        for share, _, branch in self._open:
            members = branch.labels()
            self.log_chances[members] = -share - np.log(len(members))
        self.path = None

    def probabilities(self) -> dict[str, float]:
        """Of every label, the likeliest first."""
        chances = np.exp(self.log_chances)
        chances /= chances.sum()
        order = np.argsort(-chances, kind="stable")
        return {self.labels.names[n]: float(chances[n]) for n in order}
