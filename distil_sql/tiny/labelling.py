"""Chats of labellers and extractors: a review's sentiment, a person's fields, an enumeration, one typed value."""

from __future__ import annotations

import random

from . import facts as f
from .chat import Chat, json_chat
from .item import Item
from .reviews import review
from .skills import any_item
from .texts import person

LABELLER = "You label product reviews."
LABELLERS = (LABELLER, "Label the sentiment of the review.", "Classify the review.", "You label rows of a table.")
SENTIMENT = '"positive" | "negative" | "neutral"'
STARS = ("Rate this review from 1 to 5: {}\nRating: <1-5>", "Review: {}\nReply as: Rating: <1-5>")
PERSON_TYPES = {"name": "string", "age": "integer", "job": "string", "city": "string"}
EXTRACTORS = (
    "Extract the person.",
    "You extract people from text.",
    "Extract the fields.",
    "You read text.",
    "Extract the person described in the text.",
)
TOPIC_LABELLERS = ("What is the text about?", "You label topics.", "Label the topic of the text.")
CLASSIFIERS = ("Classify the word.", "You classify words.", "What kind of thing is it?")
ANSWERERS = (
    "",
    "Answer the question.",
    "You answer simple questions.",
    "You are a helpful assistant.",
    "Follow the instruction.",
)


def label_review(r: random.Random) -> Chat:
    """A review with its sentiment, its stars, or both."""
    text, label, stars = review(r)
    p = r.random()
    system = LABELLER if p < 0.7 else r.choice(LABELLERS)
    if p < 0.8:
        return json_chat("label_sentiment", system, f'{{"value": {SENTIMENT}}}', text, {"value": label})
    if p < 0.84:
        shape = f'{{"sentiment": {SENTIMENT}}}'
        return json_chat("label_sentiment", system, shape, f"Review: {text}", {"sentiment": label})
    if p < 0.88:
        shape = f'{{"sentiment": {SENTIMENT}, "rating": integer}}'
        return json_chat("label_stars", system, shape, text, {"sentiment": label, "rating": stars})
    if p < 0.92:
        system = "Rate the review from 1 to 5 stars."
        return json_chat("label_stars", system, '{"value": integer}', text, {"value": stars})
    if p < 0.96:
        return Chat("label_stars", "", r.choice(STARS).format(text), f"Rating: {stars}")
    system = "Is the review positive?"
    return json_chat("label_sentiment", system, '{"value": true | false}', text, {"value": label == "positive"})


def typed_form(r: random.Random) -> Chat:
    """Other JSON shapes: a person's fields in any order, an enumeration, a list, or one typed value."""
    p = r.random()
    return typed_person(r) if p < 0.3 else typed_enum(r) if p < 0.45 else typed_value(r)


def typed_person(r: random.Random) -> Chat:
    text, who = person(r)
    if r.random() < 0.5:
        keys = r.sample(list(who), r.choice([1, 2, 3, 3, 3, 4]))
    else:
        keys = [k for k in who if r.random() < 0.75] or ["name"]
    shape = "{" + ", ".join(f'"{k}": {PERSON_TYPES[k]}' for k in keys) + "}"
    system, user = r.choice(EXTRACTORS), r.choice(["{}", "{}", "Text: {}"]).format(text)
    return json_chat("typed_person", system, shape, user, {k: who[k] for k in keys})


def typed_enum(r: random.Random) -> Chat:
    if r.random() < 0.5:
        kind = r.choice(list(f.TOPICS))
        options = r.sample(list(f.TOPICS), r.randint(3, 6))
        text = r.choice(f.TOPICS[kind]).format(t=r.choice(f.TIMES))
        system = r.choice(TOPIC_LABELLERS)
    else:
        kind = r.choice(list(f.CATEGORIES))
        options = r.sample(list(f.CATEGORIES), r.randint(3, 6))
        text = r.choice(f.CATEGORIES[kind])
        system = r.choice(CLASSIFIERS)
    if kind not in options:
        options[r.randrange(len(options))] = kind
    name = r.choice(["value", "value", "label", "category"])
    shape = f'{{"{name}": ' + " | ".join(f'"{o}"' for o in options) + "}"
    return json_chat("typed_enum", system, shape, text, {name: kind})


def typed_value(r: random.Random) -> Chat:
    item = any_item(r)
    while item.key.startswith("{"):
        item = any_item(r)
    system = r.choice(ANSWERERS)
    if item.skill == "list_examples" and r.random() < 0.7:
        words = item.key.replace(" and ", ", ").split(", ")
        return json_chat("typed_value", system, '{"value": [string, ...]}', item.question, {"value": words}, item)
    name = r.choice(["value", "value", "value", "answer", "result"])
    kind, value = _typed(item)
    if item.skill in ("sentence", "greeting", "job"):
        value = item.answer(r.choice(item.forms))
    return json_chat("typed_value", system, f'{{"{name}": {kind}}}', item.question, {name: value}, item)


def _typed(item: Item) -> tuple[str, str | int | bool]:
    """The type that the prompt asks for, and the key as JSON of that type."""
    if item.skill == "true_false":
        return "true | false", item.key == "true"
    if item.key.isdigit():
        return "integer", int(item.key)
    return "string", item.key
