"""Short product reviews with their label: ``review(random.Random(0))`` gives the text, the label and the stars."""

from __future__ import annotations

import random


def _words(text: str) -> list[str]:
    return text.split()


PRODUCTS = _words(
    """
    phone laptop camera headset keyboard mouse lamp chair desk backpack watch kettle toaster blender vacuum tent
    jacket pillow mattress bike speaker printer tablet router monitor umbrella bottle pan knife book toy game sofa
    rug fan heater charger cable bag mug shirt coat hat food hotel movie service room coffee pizza song staff
    """
)
ASPECTS = _words(
    """
    battery screen sound quality price design color size material delivery packaging handle zipper motor software
    manual
    """
)
POSITIVE = _words(
    """
    great excellent wonderful amazing fantastic lovely perfect superb brilliant good beautiful outstanding
    impressive comfortable reliable delightful
    """
)
NEGATIVE = _words(
    """
    terrible awful horrible bad disgusting poor broken useless boring disappointing flimsy ugly noisy dreadful
    unreliable
    """
)
NEUTRAL = _words(
    """
    okay average fine ordinary normal acceptable decent standard alright mediocre
    """
)

SAID = {
    "positive": [
        "I love it.",
        "I love this {p}.",
        "It works perfectly.",
        "Best {p} I have ever had.",
        "Highly recommended.",
        "I would buy it again.",
        "My family loves it.",
        "I am very happy with it.",
        "Worth every cent.",
        "It is better than I expected.",
        "The {a} lasts all day.",
        "I use it every day and it is still like new.",
        "It arrived early and works very well.",
        "Five stars.",
        "This {p} made my life easier.",
        "I am impressed.",
        "Great value for the money.",
        "Easy to use and very fast.",
        "Exactly what I wanted.",
        "I cannot imagine a better {p}.",
        "Very pleased.",
        "Not bad at all, I really like it.",
        "It exceeded my expectations.",
        "My kids enjoy it a lot.",
        "Would recommend to a friend.",
        "So soft and comfortable.",
    ],
    "negative": [
        "I hate it.",
        "I hate this {p}.",
        "It broke after two days.",
        "Worst {p} I have ever had.",
        "Do not buy it.",
        "I want my money back.",
        "A waste of money.",
        "It stopped working after a week.",
        "I am very disappointed.",
        "It is not worth the price.",
        "The {a} failed on the first day.",
        "I returned it.",
        "It arrived late and damaged.",
        "One star.",
        "This {p} is a joke.",
        "Never again.",
        "Too expensive for what it is.",
        "Hard to use and very slow.",
        "It does not work.",
        "Not what I ordered.",
        "The {a} is not good.",
        "Very unhappy.",
        "It fell apart.",
        "It smells bad.",
        "I regret buying it.",
        "Stay away from this {p}.",
        "The {a} keeps breaking.",
        "It makes a loud noise and gets too hot.",
        "Support never answered.",
    ],
    "neutral": [
        "It does what it says.",
        "Nothing special.",
        "It is a {p}.",
        "It works as expected.",
        "It is neither good nor bad.",
        "I have no strong opinion.",
        "Some things are good, some are not.",
        "I bought it last week.",
        "It arrived on Monday.",
        "It is like any other {p}.",
        "You get what you pay for.",
        "Three stars.",
        "It has a normal {a}.",
        "Not great, not terrible.",
        "The {p} came in a brown box.",
        "I have not used it much yet.",
        "It does the job.",
        "Could be better, could be worse.",
        "The {a} is what you would expect.",
        "So far it is alright.",
    ],
}
OPINIONS = [
    "The {p} is {w}.",
    "The {p} was {w}.",
    "I think the {p} is {w}.",
    "{aw} {p}.",
    "What {w2} {p}.",
    "The {a} is {w}.",
    "The {a} of this {p} is {w}.",
    "Honestly, the {p} is {w}.",
    "My new {p} is {w}.",
    "The {p} is {w} and the {a} is {v}.",
    "Really {w} {p}.",
    "This {p} is {w}!",
    "The {a} is {w} and so is the {b}.",
]
MIXED = [
    "The {a} is {g}, but the {b} is {h}.",
    "I like the {a} but the {b} is {h}.",
    "{G} {a}, {h} {b}.",
    "The {p} looks {g}, but the {a} is {h}.",
]
WORDS = {"positive": POSITIVE, "negative": NEGATIVE, "neutral": NEUTRAL}


def _opinion(r: random.Random, label: str, product: str) -> str:
    w, v = r.sample(WORDS[label], 2)
    a, b = r.sample(ASPECTS, 2)
    if label != "neutral" and r.random() < 0.25:
        w = r.choice(["very ", "really ", "so "]) + w
    article = ("an " if w[0] in "aeiou" else "a ") + w
    return r.choice(OPINIONS).format(p=product, w=w, v=v, a=a, b=b, aw=w[0].upper() + w[1:], w2=article)


def review(r: random.Random) -> tuple[str, str, int]:
    """A review of one to three sentences, ``positive``, ``negative`` or ``neutral``, and one to five stars."""
    label, product = r.choice(["positive", "negative", "neutral"]), r.choice(PRODUCTS)
    if label == "neutral" and r.random() < 0.25:
        g, h = r.choice(POSITIVE), r.choice(NEGATIVE)
        a, b = r.sample(ASPECTS, 2)
        return r.choice(MIXED).format(p=product, a=a, b=b, g=g, h=h, G=g.capitalize()), label, 3
    parts = []
    said = r.sample(SAID[label], 3)
    for i in range(r.choice([1, 1, 2, 2, 3])):
        parts.append(
            _opinion(r, label, product) if r.random() < 0.45 else said[i].format(p=product, a=r.choice(ASPECTS))
        )
    text = " ".join(dict.fromkeys(parts))
    if r.random() < 0.1:
        text = text.lower().rstrip(".")
    strong = any(
        x in text
        for x in (
            "love",
            "best",
            "Best",
            "perfect",
            "excellent",
            "hate",
            "Worst",
            "terrible",
            "awful",
            "horrible",
            "waste",
            "Never",
        )
    )
    return text, label, {"positive": 5 if strong else 4, "negative": 1 if strong else 2, "neutral": 3}[label]
