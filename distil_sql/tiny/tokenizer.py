"""tiny's vocabulary: byte-pair merges learned from the corpus, and encoding that agrees with llama.cpp's SPM tokenizer.

    vocab = Vocab(learn(texts, merges=1400))
    vocab.encode("<|im_start|>user\\nWhat is 3 + 4?<|im_end|>", special=True)

Pieces are made of a word with the space before it, or of punctuation; digits and newlines stand alone. Since no piece
crosses such a boundary, encoding chunk by chunk gives what llama.cpp gets by merging over the whole text.
"""

from __future__ import annotations

import collections
import itertools
import re
from collections.abc import Iterable

SPACE = "\u2581"
UNKNOWN, BOS, EOS, START, END = "<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"
FIRST_PIECE = 3 + 256 + 2
_CHUNK = re.compile(rf"{SPACE}?[^\W\d_]+|\d|\n|{SPACE}?[^\w\s{SPACE}]+|.", re.DOTALL)
_SPECIAL = re.compile(r"(<\|im_start\|>|<\|im_end\|>)")


def chunks(text: str) -> list[str]:
    """Split into the units within which pieces may form."""
    return _CHUNK.findall(text.replace(" ", SPACE))


def learn(texts: Iterable[str], merges: int, at_least: int = 6) -> list[str]:
    """Byte-pair merges of the texts, the earliest first, then the single characters."""
    counts = collections.Counter(c for t in texts for c in chunks(t))
    words = {c: list(c) for c in counts}
    alphabet = {ch for c in counts for ch in c if ch != "\n"} | {chr(i) for i in range(33, 127)} | {SPACE}
    pairs: collections.Counter[tuple[str, str]] = collections.Counter()
    where: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    for c, p in words.items():
        for pair in itertools.pairwise(p):
            pairs[pair] += counts[c]
            where[pair].add(c)
    found: dict[str, None] = {}
    while len(found) < merges and pairs:
        (x, y), n = max(pairs.items(), key=lambda kv: (kv[1], kv[0]))
        if n < at_least:
            break
        found.setdefault(x + y)
        for c in list(where[x, y]):
            p = words[c]
            for pair in itertools.pairwise(p):
                pairs[pair] -= counts[c]
            i = 0
            while i < len(p) - 1:
                if p[i] == x and p[i + 1] == y:
                    p[i : i + 2] = [x + y]
                i += 1
            for pair in itertools.pairwise(p):
                pairs[pair] += counts[c]
                where[pair].add(c)
        del pairs[x, y]
    return [*found, *sorted(alphabet - set(found))]


class Vocab:
    """Token ids of a list of pieces, best first. The id of a token is its index in ``tokens``."""

    def __init__(self, pieces: list[str], multiple: int = 32) -> None:
        self.tokens = [UNKNOWN, BOS, EOS, *(f"<0x{b:02X}>" for b in range(256)), START, END, *pieces]
        self.unused = -len(self.tokens) % multiple
        self.tokens += [f"<unused{i}>" for i in range(self.unused)]
        self.rank = {p: i for i, p in enumerate(pieces)}
        self.start, self.end = FIRST_PIECE - 2, FIRST_PIECE - 1
        self._cache: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    def _chunk(self, chunk: str) -> list[int]:
        p = list(chunk)
        while len(p) > 1:
            best = min(range(len(p) - 1), key=lambda i: self.rank.get(p[i] + p[i + 1], 1 << 30))
            if p[best] + p[best + 1] not in self.rank:
                break
            p[best : best + 2] = [p[best] + p[best + 1]]
        ids: list[int] = []
        for x in p:
            ids.extend(
                [FIRST_PIECE + self.rank[x]] if x in self.rank else [3 + b for b in x.replace(SPACE, " ").encode()]
            )
        return ids

    def encode(self, text: str, special: bool = False) -> list[int]:
        """Token ids, without a beginning-of-sequence token. Control tokens are read only where ``special``."""
        ids: list[int] = []
        for part in _SPECIAL.split(text) if special else [text]:
            if special and part in (START, END):
                ids.append(self.start if part == START else self.end)
                continue
            for c in chunks(part):
                got = self._cache.get(c)
                if got is None:
                    got = self._cache[c] = self._chunk(c)
                ids.extend(got)
        return ids
