"""One question with its answers and likely mistakes, and the small helpers that the skills share."""

from __future__ import annotations

import random
from dataclasses import dataclass

Near = tuple[str, int, str]  # a half-right answer, its score, the reason for the score


@dataclass(frozen=True)
class Item:
    """A question with its answer. ``forms`` are answers with ``{k}`` where the key goes, the tersest first."""

    skill: str
    question: str
    key: str
    wrong: tuple[str, ...]  # keys that would be wrong, of the same kind
    forms: tuple[str, ...] = ("{k}",)
    near: tuple[Near, ...] = ()
    why: str = ""  # what is wrong with a wrong answer, where "it should be <key>" does not say it
    accept: tuple[
        str, ...
    ] = ()  # words of which a right answer holds at least ``need``, where the key is only one of many
    need: int = 0

    def answer(self, form: str, key: str = "") -> str:
        return form.replace("{k}", key or self.key)


def others(r: random.Random, pool: list[str], *right: str, n: int = 4) -> tuple[str, ...]:
    rest = sorted({x for x in pool if x not in right})
    return tuple(r.sample(rest, min(n, len(rest))))


def article(word: str) -> str:
    return ("an " if word[0] in "aeiouAEIOU" else "a ") + word


def capitalized(text: str) -> str:
    return text[0].upper() + text[1:]


def near_number(key: int, wrongs: list[int]) -> tuple[tuple[str, ...], tuple[Near, ...]]:
    """Numbers off by one or two score 2, others 1."""
    close = [n for n in (key - 1, key + 1, key + 2) if n >= 0]
    return (
        tuple(str(n) for n in wrongs if n != key and n not in close and n >= 0) or (str(key + 10),),
        tuple((str(n), 2, f"Close, but it should be {key}.") for n in close),
    )


def number(r: random.Random, skill: str, question: str, key: int, *forms: str) -> Item:
    wrong, near = near_number(key, [r.randint(0, 40) for _ in range(4)])
    return Item(skill, question, str(key), wrong, ("{k}", *forms), near)
