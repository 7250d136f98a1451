"""Skills with words: categories, examples, opposites, grammar, translation, letters."""

from __future__ import annotations

import random

from . import facts as f
from .item import Item, article, capitalized, others


def category(r: random.Random) -> Item:
    c = r.choice(list(f.CATEGORIES))
    w = r.choice(f.CATEGORIES[c])
    noun = w if c in ("sport", "color", "country") else article(w)
    q = r.choice(
        [
            "What kind of thing is {n}?",
            "What is {n}?",
            "To which category does {n} belong?",
            "Name the category of this word: {w}",
            "Category of {w}:",
            "Is {n} {ac} or {ad}?",
            "Classify this word: {w}",
        ]
    )
    d = r.choice([x for x in f.CATEGORIES if x != c])
    first, second = (c, d) if r.random() < 0.5 else (d, c)
    q = q.format(n=noun, w=w, ac=article(first), ad=article(second))
    return Item(
        "category",
        q,
        c,
        others(r, list(f.CATEGORIES), c),
        ("{k}", f"{capitalized(noun)} is {article(c)}.".replace(" " + c, " {k}")),
    )


def list_examples(r: random.Random) -> Item:
    c, n = r.choice(list(f.CATEGORIES)), r.choice([2, 3, 3, 3, 4])
    pc, word = f.PLURAL_CATEGORIES[c], r.choice([f.COUNTS[n], f.COUNTS[n], str(n)])
    q = r.choice(
        [
            "Give {n} examples of {c}.",
            "Name {n} {c}.",
            "List {n} {c}.",
            "Give me {n} {c}.",
            "Write down {n} {c}.",
            "Can you name {n} {c}?",
        ]
    )

    def listed(words: list[str]) -> str:
        return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else words[0]

    good = sorted(r.sample(f.CATEGORIES[c], n), key=f.CATEGORIES[c].index)  # one order: fewer to learn
    other = r.choice([x for x in f.CATEGORIES if x != c])
    odd = r.choice(f.CATEGORIES[other])
    mixed = [*good[:-1], odd]
    r.shuffle(mixed)
    near = (
        (listed(mixed), 3, f"Partly right: {odd} does not belong."),
        (listed(good[:-1]), 3, f"Partly right: there should be {f.COUNTS[n]}."),
    )
    return Item(
        "list_examples",
        q.format(n=word, c=pc),
        listed(good),
        (listed(r.sample(f.CATEGORIES[other], n)),),
        ("{k}", f"{f.COUNTS[n].capitalize()} {pc} are {{k}}."),
        near,
        f"Wrong: these are not {pc}.",
        tuple(f.CATEGORIES[c]),
        n,
    )


def opposite(r: random.Random) -> Item:
    w, k = r.choice(list(f.OPPOSITES.items()))
    if r.random() < 0.5:
        w, k = k, w
    q = r.choice(
        [
            "What is the opposite of {}?",
            "Give the opposite of {}.",
            "Opposite of {}:",
            "What's the opposite of the word {}?",
            "Write the antonym of {}.",
            "Which word means the opposite of {}?",
        ]
    )
    return Item(
        "opposite", q.format(w), k, others(r, list(f.OPPOSITES), k, w), ("{k}", f"The opposite of {w} is {{k}}.")
    )


def plural(r: random.Random) -> Item:
    w, k = r.choice(list(f.PLURALS.items()))
    if r.random() < 0.25 and w != k:
        q = r.choice(["What is the singular of {}?", "Write the singular form of {}."]).format(k)
        return Item("plural", q, w, (k, *others(r, list(f.PLURALS), w, n=2)), ("{k}", f"The singular of {k} is {{k}}."))
    q = r.choice(
        [
            "What is the plural of {}?",
            "Give the plural of {}.",
            "Plural of {}:",
            "Write the plural form of {}.",
            "Make this word plural: {}",
        ]
    )
    bad = [x for x in (w + "s", w + "es", w) if x != k]
    return Item(
        "plural",
        q.format(w),
        k,
        (*bad, *others(r, list(f.PLURALS.values()), k, n=1)),
        ("{k}", f"The plural of {w} is {{k}}."),
    )


def past_tense(r: random.Random) -> Item:
    w, k = r.choice(list(f.PASTS.items()))
    q = r.choice(
        [
            "What is the past tense of {}?",
            "Past tense of {}:",
            "Give the past tense of the verb {}.",
            "Write {} in the past tense.",
        ]
    )
    bad = [x for x in (w + "ed", w + "d") if x != k]
    return Item(
        "past_tense",
        q.format(w),
        k,
        (*bad, *others(r, list(f.PASTS.values()), k, n=1)),
        ("{k}", f"The past tense of {w} is {{k}}."),
    )


def comparative(r: random.Random) -> Item:
    w, k = r.choice(list(f.COMPARATIVES.items()))
    q = r.choice(
        [
            "What is the comparative of {}?",
            "Give the comparative form of {}.",
            "Comparative of {}:",
            "Write the comparative of the word {}.",
        ]
    )
    return Item(
        "comparative",
        q.format(w),
        k,
        (*(x for x in ("more " + w,) if x != k), *others(r, list(f.COMPARATIVES.values()), k, n=2)),
        ("{k}", f"The comparative of {w} is {{k}}."),
    )


def translation(r: random.Random) -> Item:
    lang = r.choice(list(f.TRANSLATIONS))
    w, k = r.choice(list(f.TRANSLATIONS[lang].items()))
    if r.random() < 0.2:
        q = r.choice(["What does the {l} word {k} mean?", "Translate from {l} to English: {k}"]).format(l=lang, k=k)
        return Item(
            "translation", q, w, others(r, list(f.TRANSLATIONS[lang]), w), ("{k}", f"{capitalized(k)} means {{k}}.")
        )
    q = r.choice(
        [
            "Translate to {l}: {w}",
            "What is {w} in {l}?",
            "How do you say {w} in {l}?",
            "Translate {w} into {l}.",
            "What is the {l} word for {w}?",
            "Translate the word {w} to {l}.",
        ]
    )
    elsewhere = tuple(t[w] for x, t in f.TRANSLATIONS.items() if x != lang and w in t and t[w] != k)
    return Item(
        "translation",
        q.format(l=lang, w=w),
        k,
        (*elsewhere[:1], *others(r, list(f.TRANSLATIONS[lang].values()), k, n=3)),
        ("{k}", f"{capitalized(w)} in {lang} is {{k}}."),
    )


def letters(r: random.Random) -> Item:
    w = r.choice([*f.OPPOSITES, *f.CATEGORIES["fruit"], *f.CATEGORIES["animal"], *f.CATEGORIES["color"], *f.PLURALS])
    w = w.lower()
    if r.random() < 0.6:
        k = w.upper()
        q = r.choice(
            [
                "Write this word in upper case: {}",
                "Write {} in capital letters.",
                "Convert to uppercase: {}",
                "Make this upper case: {}",
            ]
        )
        return Item("letters", q.format(w), k, (w, w.capitalize(), *others(r, [x.upper() for x in f.PLURALS], k, n=1)))
    q, k = r.choice(
        [
            ("What is the first letter of the word {}?", w[0]),
            ("What is the last letter of {}?", w[-1]),
            ("With which letter does {} start?", w[0]),
            ("Which letter does the word {} end with?", w[-1]),
        ]
    )
    return Item(
        "letters", q.format(w), k, others(r, list("abcdefghilmnoprstuwy"), k, n=3), ("{k}", "The letter is {k}.")
    )
