"""Skills with texts: extraction, true or false, sentiment, topic, writing a sentence, greeting."""

from __future__ import annotations

import json
import random

from . import facts as f
from .item import Item, article, capitalized, others
from .reviews import review


def name(r: random.Random) -> str:
    """A known name, or syllables drawn at random so that copying is learned and not the names."""
    if r.random() < 0.5:
        return r.choice(f.NAMES)
    return "".join(
        r.choice("bdfgklmnprstvz") + r.choice("aeiou") for _ in range(r.randint(2, 3))
    ).capitalize() + r.choice(["", "", "n", "s", "l"])


def person(r: random.Random) -> tuple[str, dict[str, str | int]]:
    """A sentence about an invented person, and what it says."""
    p: dict[str, str | int] = {
        "name": name(r),
        "age": r.randint(18, 80),
        "job": r.choice(list(f.JOBS)),
        "city": r.choice(list(f.CAPITALS.values())),
    }
    a = {"aj": article(str(p["job"]))}
    text = r.choice(
        [
            "{name} is a {age} year old {job} from {city}.",
            "My name is {name}, I am {age} and I work as {aj} in {city}.",
            "{name}, {age}, lives in {city} and is {aj}.",
            "{name} lives in {city}. They are {age} years old and work as {aj}.",
            "I am {name} from {city}, {aj} aged {age}.",
            "Meet {name}: {age} years old, {job}, based in {city}.",
            "{name} is {age} years old, lives in {city} and works as {aj}.",
        ]
    )
    return text.format(**p, **a), p


def extract(r: random.Random) -> Item:
    text, p = person(r)
    k = r.choice(["name", "age", "job", "city"])
    q = r.choice(
        [
            "Extract the {k} from: {t}",
            "Text: {t}\nWhat is the {k}?",
            "What is the {k} of the person? {t}",
            "Find the {k} in this text: {t}",
            "{t} What is the {k}?",
        ]
    )
    wrong = [str(v) for x, v in p.items() if x != k]
    wrong.append(
        {
            "name": r.choice(f.NAMES),
            "age": str(r.randint(18, 80)),
            "job": r.choice(list(f.JOBS)),
            "city": r.choice(list(f.CAPITALS.values())),
        }[k]
    )
    return Item(
        "extract",
        q.format(k=k, t=text),
        str(p[k]),
        tuple(x for x in wrong if x != str(p[k])),
        ("{k}", f"The {k} is {{k}}."),
    )


def extract_json(r: random.Random) -> Item:
    text, p = person(r)
    _, other = person(r)
    keys = r.choice(
        [
            ["name", "age"],
            ["name", "city"],
            ["name", "job"],
            ["name", "age", "city"],
            ["name", "age", "job", "city"],
            ["name", "age", "job", "city"],
        ]
    )
    listed = ", ".join(keys[:-1]) + " and " + keys[-1]
    q = r.choice(
        [
            "Extract {l} as JSON: {t}",
            "Return JSON with the keys {l} for: {t}",
            "Give {l} as JSON. {t}",
            "Write {l} as JSON: {t}",
        ]
    )
    right, miss = {k: p[k] for k in keys}, r.choice(keys)
    near = [(json.dumps({k: p[k] for k in keys if k != miss}), 3, f"Partly right: the {miss} is missing.")]
    if other[miss] != p[miss]:
        near.append((json.dumps({**right, miss: other[miss]}), 3, f"Partly right: the {miss} is wrong."))
    return Item(
        "extract_json",
        q.format(l=listed, t=text),
        json.dumps(right),
        (json.dumps({k: other[k] for k in keys}), "name, age"),
        ("{k}",),
        tuple(near),
        "Wrong: this is not the person in the text.",
    )


def true_false(r: random.Random) -> Item:
    yes, kind = r.random() < 0.5, r.choice(["category", "category", "capital", "sum", "color"])
    if kind == "category":
        c = r.choice(list(f.CATEGORIES))
        w = r.choice(f.CATEGORIES[c if yes else r.choice([x for x in f.CATEGORIES if x != c])])
        s = f"{capitalized(article(w))} is {article(c)}." if w.islower() else f"{w} is {article(c)}."
    elif kind == "capital":
        c, k = r.choice(list(f.CAPITALS.items()))
        s = f"{k if yes else others(r, list(f.CAPITALS.values()), k, n=1)[0]} is the capital of {c}."
    elif kind == "color":
        w, k = r.choice(list(f.COLORS.items()))
        s = f"{capitalized(w)} is {k if yes else others(r, f.CATEGORIES['color'], k, n=1)[0]}."
    else:
        a, b = r.randint(0, 10), r.randint(0, 10)
        s = f"{a} + {b} = {a + b if yes else a + b + r.choice([1, 2, 3, 5])}."
    q = r.choice(
        ["True or false: {}", "Is this true or false? {}", "{} True or false?", "Is this statement true or false? {}"]
    )
    return Item("true_false", q.format(s), str(yes).lower(), (str(not yes).lower(),), ("{k}", "That is {k}."))


def sentiment(r: random.Random) -> Item:
    text, label, _ = review(r)
    q = r.choice(
        [
            "Is this review positive, negative or neutral? {}",
            "What is the sentiment of this review? {}",
            "Review: {}\nSentiment:",
            "Classify the sentiment: {}",
            "Classify the sentiment of this review as positive, negative or neutral: {}",
        ]
    )
    return Item(
        "sentiment",
        q.format(text),
        label,
        others(r, ["positive", "negative", "neutral"], label),
        ("{k}", "The sentiment is {k}."),
    )


def topic(r: random.Random) -> Item:
    t = r.choice(list(f.TOPICS))
    s = r.choice(f.TOPICS[t]).format(t=r.choice(f.TIMES))
    q = r.choice(
        [
            "What is the topic of this sentence? {}",
            "Name the topic: {}",
            "What is this text about? {}",
            "Text: {}\nTopic:",
        ]
    )
    return Item("topic", q.format(s), t, others(r, list(f.TOPICS), t), ("{k}", "The topic is {k}."))


def sentence(r: random.Random) -> Item:
    kind = r.choice(list(f.SENTENCES))
    shapes, nouns = f.SENTENCES[kind]
    x, y = r.sample(nouns, 2)
    other = r.choice([k for k in f.SENTENCES if k != kind])
    y = r.choice([y, r.choice(f.SENTENCES[other][1])])
    n = article(x) if kind in ("animal", "thing") else x if kind == "food" else f"the {x}"
    q = r.choice(
        [
            "Write a sentence about {n}.",
            "Write a short sentence about {n}.",
            "Write one sentence about {n}.",
            "Make a sentence with the word {x}.",
            "Use the word {x} in a sentence.",
            "Give me a sentence with the word {x}.",
        ]
    )
    return Item(
        "sentence",
        q.format(n=n, x=x),
        x,
        (y,),
        tuple(s.replace("{x}", "{k}") for s in shapes),
        (),
        f"Wrong: the sentence is not about {x}.",
    )


def greeting(r: random.Random) -> Item:
    if r.random() < 0.4:
        n = name(r)
        q, a = r.choice(
            [
                ("Say hello to {}.", "Hello, {k}!"),
                ("Greet {}.", "Hello, {k}!"),
                ("Write a greeting to {}.", "Hello, {k}!"),
                ("My name is {}.", "Hello, {k}! How can I help you?"),
                ("Say goodbye to {}.", "Goodbye, {k}!"),
                ("Wish {} a happy birthday.", "Happy birthday, {k}!"),
                ("Repeat this name: {}", "{k}"),
                ("Thank {} for the help.", "Thank you for the help, {k}!"),
            ]
        )
        return Item("greeting", q.format(n), n, (r.choice([x for x in f.NAMES if x != n]),), (a,))
    q = r.choice(list(f.GREETINGS))
    rest = [x for x in f.GREETINGS.values() if x != f.GREETINGS[q]]
    return Item("greeting", q, f.GREETINGS[q], (r.choice(rest),), ("{k}",), (), "The answer does not fit the question.")
