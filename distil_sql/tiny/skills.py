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
WEIGHTS = {  # the more there is to learn, the more often it is drawn
    "arithmetic": 4.0,
    "true_false": 3.0,
    "compare_numbers": 2.5,
    "next_number": 2.0,
    "letters": 2.0,
    "extract": 2.0,
    "extract_json": 2.0,
    "capital": 1.5,
    "translation": 1.5,
    "category": 1.5,
    "list_examples": 1.5,
    "greeting": 1.5,
    "number_fact": 0.8,
    "color": 0.8,
    "sentence": 0.8,
    "topic": 0.7,
    "job": 0.7,
    "comparative": 0.7,
}


def any_item(r: random.Random) -> Item:
    """One item of a skill drawn by weight."""
    names = list(SKILLS)
    return SKILLS[r.choices(names, [WEIGHTS.get(n, 1.0) for n in names])[0]](r)
