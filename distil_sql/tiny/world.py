"""Skills with facts of the world: capitals, colors, animals, jobs and tools, days and months."""

from __future__ import annotations

import random

from . import facts as f
from .item import Item, article, capitalized, others


def capital(r: random.Random) -> Item:
    c, k = r.choice(list(f.CAPITALS.items()))
    if r.random() < 0.25:
        q = r.choice(
            [
                "Which country has the capital {}?",
                "{} is the capital of which country?",
                "Of which country is {} the capital?",
            ]
        )
        return Item("capital", q.format(k), c, others(r, list(f.CAPITALS), c), ("{k}", f"{k} is the capital of {{k}}."))
    q = r.choice(
        [
            "What is the capital of {}?",
            "Capital of {}:",
            "Name the capital city of {}.",
            "What's the capital of {}?",
            "Which city is the capital of {}?",
            "Tell me the capital of {}.",
            "What is the capital city of {}?",
            "Name the capital of {}.",
        ]
    )
    return Item(
        "capital", q.format(c), k, others(r, list(f.CAPITALS.values()), k), ("{k}", f"The capital of {c} is {{k}}.")
    )


def color(r: random.Random) -> Item:
    w, k = r.choice(list(f.COLORS.items()))
    q = r.choice(
        [
            "What color is {}?",
            "What is the color of {}?",
            "Which color is {}?",
            "Name the color of {}.",
            "Tell me the color of {}.",
        ]
    )
    return Item("color", q.format(w), k, others(r, f.CATEGORIES["color"], k), ("{k}", f"{capitalized(w)} is {{k}}."))


def animal_fact(r: random.Random) -> Item:
    if r.random() < 0.5:
        w, k = r.choice(list(f.SOUNDS.items()))
        q = r.choice(["What sound does {} make?", "Which sound does {} make?", "What does {} say?"]).format(article(w))
        return Item(
            "animal_fact",
            q,
            k,
            others(r, list(f.SOUNDS.values()), k),
            ("{k}", f"{capitalized(article(w))} says {{k}}."),
        )
    w, k = r.choice(list(f.BABIES.items()))
    q = r.choice(
        [
            "What is a baby {} called?",
            "What do you call a baby {}?",
            "Name the young of {a}.",
            "What is the young of {a} called?",
        ]
    )
    return Item(
        "animal_fact",
        q.format(w, a=article(w)),
        k,
        others(r, list(f.BABIES.values()), k),
        ("{k}", f"A baby {w} is called a {{k}}."),
    )


def job(r: random.Random) -> Item:
    if r.random() < 0.5:
        w, k = r.choice(list(f.JOBS.items()))
        if r.random() < 0.3:
            return Item(
                "job",
                r.choice(["Who {}?", "Which job is it: a person who {}?"]).format(k),
                w,
                others(r, list(f.JOBS), w),
                ("{k}", f"A {{k}} {k}."),
            )
        q = r.choice(
            ["What does {} do?", "What is the job of {}?", "Describe the work of {}.", "What is the work of {}?"]
        ).format(article(w))
        return Item("job", q, k, others(r, list(f.JOBS.values()), k), (f"{capitalized(article(w))} {{k}}.",))
    w, k = r.choice(list(f.USES.items()))
    n = w if w in ("scissors", "soap") else article(w)
    q = r.choice(
        ["What is {} used for?", "What do you use {} for?", "What can you do with {}?", "What do people use {} for?"]
    )
    q = (q.replace("What is", "What are") if w == "scissors" else q).format(n)
    return Item("job", q, k, others(r, list(f.USES.values()), k), (f"You use {n} to {{k}}.",))


def calendar(r: random.Random) -> Item:
    names, unit = (f.DAYS, "day") if r.random() < 0.5 else (f.MONTHS, "month")
    i, n = r.randrange(len(names)), len(names)
    kind = r.choice(["after", "before", "ordinal"])
    if kind == "ordinal":
        q = r.choice(
            ["What is the {o} {u} of the {p}?", "Which {u} is the {o} of the {p}?", "Name the {o} {u} of the {p}."]
        )
        q, k = q.format(o=f.ORDINALS[i], u=unit, p="week" if unit == "day" else "year"), names[i]
        form = f"The {f.ORDINALS[i]} {unit} is {{k}}."
    else:
        q = r.choice(
            ["What {u} comes {w} {d}?", "Which {u} comes {w} {d}?", "Which {u} is {w} {d}?", "Name the {u} {w} {d}."]
        ).format(u=unit, w=kind, d=names[i])
        k = names[(i + (1 if kind == "after" else -1)) % n]
        form = f"{{k}} comes {kind} {names[i]}."
    return Item("calendar", q, k, others(r, names, k), ("{k}", form))
