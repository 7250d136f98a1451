"""Skills with numbers: sums, sequences, comparing, counting."""

from __future__ import annotations

import random

from . import facts as f
from .item import Item, number


def arithmetic(r: random.Random) -> Item:
    kind = r.choice("++--*")
    a, b = (r.randint(1, 10), r.randint(1, 10)) if kind == "*" else (r.randint(0, 12), r.randint(0, 12))
    if kind == "-":
        a += b
    c = {"+": a + b, "-": a - b, "*": a * b}[kind]
    word = {"+": "plus", "-": "minus", "*": "times"}[kind]
    own = {
        "+": ["Add {a} and {b}.", "What is the sum of {a} and {b}?", "What do you get when you add {a} and {b}?"],
        "-": ["Subtract {b} from {a}.", "What is the difference between {a} and {b}?", "Take {b} away from {a}."],
        "*": ["Multiply {a} by {b}.", "What is the product of {a} and {b}?", "Multiply {a} and {b}."],
    }[kind]
    common = [
        "What is {a} {o} {b}?",
        "What is {a} {w} {b}?",
        "Compute {a} {o} {b}.",
        "Calculate {a} {o} {b}.",
        "{a} {o} {b} = ?",
        "How much is {a} {w} {b}?",
        "How much is {a} {o} {b}?",
        "{a} {o} {b}",
    ]
    q = r.choice(own if r.random() < 0.4 else common).format(a=a, b=b, o=kind, w=word)
    return number(r, "arithmetic", q, c, f"{a} {kind} {b} = {{k}}.")


def next_number(r: random.Random) -> Item:
    if r.random() < 0.5:
        n, after = r.randint(1, 98), r.random() < 0.6
        q = r.choice(["What number comes {w} {n}?", "Which number comes right {w} {n}?"]).format(
            w="after" if after else "before", n=n
        )
        return number(r, "next_number", q, n + 1 if after else n - 1)
    step, start = r.choice([1, 1, 2, 2, 5, 10]), r.randint(1, 10)
    seq = ", ".join(str(start + i * step) for i in range(3))
    q = r.choice(["Continue the sequence: {s}", "What comes next: {s}?", "What is the next number? {s}"]).format(s=seq)
    return number(r, "next_number", q, start + 3 * step, "The next number is {k}.")


def compare_numbers(r: random.Random) -> Item:
    n = r.choice([2, 2, 2, 3])
    xs = r.sample(range(100), n)
    word, top = r.choice(
        [("larger", True), ("bigger", True), ("greater", True), ("smaller", False)]
        if n == 2
        else [("largest", True), ("biggest", True), ("smallest", False)]
    )
    key = max(xs) if top else min(xs)
    listed = f"{xs[0]} or {xs[1]}" if n == 2 else f"{xs[0]}, {xs[1]} or {xs[2]}"
    q = r.choice(
        ["Which number is {w}, {l}?", "Which is {w}: {l}?", "Which is {w}, {l}?", "Which of these is {w}: {l}?"]
    )
    return Item(
        "compare_numbers",
        q.format(w=word, l=listed),
        str(key),
        tuple(str(x) for x in xs if x != key),
        ("{k}", f"{{k}} is {'the ' if n == 3 else ''}{word}."),
    )


def number_fact(r: random.Random) -> Item:
    what = r.choice(list(f.NUMBER_FACTS))
    q = r.choice(["How many {}?", "Question: how many {}?", "Please tell me: how many {}?"]).format(what)
    return number(r, "number_fact", q, int(f.NUMBER_FACTS[what]), "The answer is {k}.")


def count_words(r: random.Random) -> Item:
    n = r.randint(1, 7)
    words = " ".join(r.choice(r.choice(list(f.CATEGORIES.values()))) for _ in range(n))
    q = r.choice(
        [
            "How many words are in this text: {}",
            "Count the words: {}",
            "Count the words in: {}",
            "How many words are here? {}",
        ]
    )
    return number(r, "count_words", q.format(words), n, "There are {k} words." if n != 1 else "There is {k} word.")
