"""What tiny is taught to answer: one function a skill, each making an ``Item`` from a seeded ``random.Random``.

SKILLS["capital"](random.Random(0))   # Item(skill='capital', question='What is the capital of Peru?', key='Lima', ...)
"""

from __future__ import annotations

import random
from collections.abc import Callable

from . import counting, texts, words, world
from .item import Item

SKILLS: dict[str, Callable[[random.Random], Item]] = {
    s.__name__: s
    for s in (
        counting.arithmetic,
        counting.next_number,
        counting.compare_numbers,
        counting.number_fact,
        counting.count_words,
        world.capital,
        words.category,
        words.list_examples,
        words.opposite,
        words.plural,
        words.past_tense,
        words.comparative,
        words.translation,
        world.color,
        world.animal_fact,
        world.job,
        world.calendar,
        words.letters,
        texts.extract,
        texts.extract_json,
        texts.true_false,
        texts.sentiment,
        texts.topic,
        texts.sentence,
        texts.greeting,
    )
}
WEIGHTS = {"arithmetic": 3.0, "true_false": 2.5, "extract": 2.0, "extract_json": 2.0} | dict.fromkeys(
    ("capital", "translation", "sentiment", "compare_numbers", "category", "list_examples", "letters"), 1.5
)


def any_item(r: random.Random) -> Item:
    """One item of a skill drawn by weight."""
    names = list(SKILLS)
    return SKILLS[r.choices(names, [WEIGHTS.get(n, 1.0) for n in names])[0]](r)
