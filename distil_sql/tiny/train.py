"""Trains tiny on its corpus and writes the GGUF file.

    python -m distil_sql.tiny.train --seconds 2800 --threads 1 --out tiny.gguf

Needs ``pip install 'distil-sql[train]'`` (torch, gguf). The time is fixed, not the steps: two runs of one seed differ.
"""

from __future__ import annotations

import argparse
import random
from itertools import islice
from pathlib import Path

from .corpus import chats
from .gguf_file import Shape, read, write
from .tokenizer import Vocab, learn


def vocabulary(seed: int, merges: int) -> Vocab:
    """The vocabulary of the corpus; fewer merges make a smaller model."""
    texts = (t for c in islice(chats(random.Random(seed)), 40_000) for t in (c.system, c.user, c.reply))
    return Vocab(learn(texts, merges))


def main() -> None:
    p = argparse.ArgumentParser(description="Train the embedded model.")
    p.add_argument("--seconds", type=float, default=2800, help="how long to train")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--out", type=Path, required=True, help="the GGUF file to write")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--merges", type=int, default=1600, help="size of the vocabulary beyond single characters")
    p.add_argument("--tokens", type=int, default=4096, help="tokens in a batch")
    p.add_argument("--rate", type=float, default=4e-3, help="highest learning rate")
    p.add_argument("--hold", type=float, default=0.35, help="share of the time before the rate is lowered")
    p.add_argument("--start", type=Path, help="a GGUF file of the same sizes to train on from")
    p.add_argument("--every", type=float, default=600, help="seconds after which the file is written in between")
    p.add_argument("--compile", action="store_true", help="compile the blocks (needs g++): half as fast again")
    a = p.parse_args()

    from . import network  # torch only from here on

    shape = Shape()
    vocab, weights = read(a.start) if a.start else (vocabulary(a.seed, a.merges), {})

    def save(net: network.Network) -> None:
        write(a.out, vocab, {k: w.numpy() for k, w in net.export().items()}, shape)
        network.say(f"{a.out}: {a.out.stat().st_size} bytes")

    net = network.Network(len(vocab), shape, a.seed)
    if weights:
        net.load(weights)
    plan = network.Plan(a.seconds, a.hold, a.threads, a.seed, a.tokens, a.rate, a.compile, a.every)
    network.fit(net, vocab, plan, save)


if __name__ == "__main__":
    main()
