"""Makes tiny's training data: chats in the forms that distil-sql sends, each with the right reply.

    python -m distil_sql.tiny.corpus 20      # print twenty training chats

A chat whose user prompt hashes into one part in twenty is held out: ``chats(r, held=True)`` yields only those, and
training none of them. The facts are the same in both parts; held out is the pairing of fact, wording and answer.
"""

from __future__ import annotations

import random
import sys
import zlib
from collections.abc import Iterator

from .chat import BRIEF, Chat, render, reply
from .judging import judge
from .labelling import label_review, typed_form
from .skills import any_item

SYSTEMS = (
    "You are a helpful assistant.",
    "You are a helpful assistant.",
    "Answer the question.",
    "You are a friendly assistant.",
    "Follow the instruction.",
    "You answer simple questions.",
    "You are a teacher.",
)


def generation(r: random.Random) -> Chat:
    """An instruction, mostly without a system prompt, and its answer."""
    item, p = any_item(r), r.random()
    system = "" if p < 0.65 else r.choice(SYSTEMS) if p < 0.9 else r.choice(BRIEF)
    question = item.question if r.random() < 0.94 else item.question.rstrip(".?:")
    return Chat(item.skill, system, question, reply(r, item, system in BRIEF), item)


FORMS = {generation: 0.46, judge: 0.38, label_review: 0.04, typed_form: 0.12}


def held_out(chat: Chat) -> bool:
    """Whether the chat belongs to the twentieth that training never sees."""
    return zlib.crc32(chat.user.encode()) % 20 == 0


def chats(r: random.Random, held: bool = False, form: str = "") -> Iterator[Chat]:
    """Endless chats of the training part, or of the held-out part; of one of FORMS, by name, if ``form`` is given."""
    shares = {make: share for make, share in FORMS.items() if form in ("", make.__name__)}
    while True:
        chat = r.choices(list(shares), list(shares.values()))[0](r)
        if held_out(chat) is held:
            yield chat


if __name__ == "__main__":
    source = chats(random.Random(0))
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 10):
        c = next(source)
        sys.stdout.write(f"--- {c.skill}\n{render(c.system, c.user)}{c.reply}\n")
