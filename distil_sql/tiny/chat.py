"""One training chat, and the wording that the corpus shares: ``render`` makes the prompt, ``reply`` a right answer."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from .item import Item

JSON_ONLY = "\nAnswer with JSON only: "
BRIEF = ("Answer briefly.", "Be brief.", "Answer with one word.")


@dataclass(frozen=True)
class Chat:
    """A system prompt (may be empty), a user prompt and the right reply.

    ``skill`` names the form, ``item`` what was asked, ``score`` what a judged answer deserves (0: nothing is judged).
    """

    skill: str
    system: str
    user: str
    reply: str
    item: Item | None = None
    score: int = 0


def json_chat(
    skill: str, system: str, shape: str, user: str, value: dict[str, Any], item: Item | None = None, score: int = 0
) -> Chat:
    """A chat whose system prompt asks for JSON of ``shape``, as distil-sql words it for a task with a type."""
    reply = json.dumps(value, ensure_ascii=False)
    return Chat(skill, (system + JSON_ONLY + shape).strip(), user, reply, item, score)


def render(system: str, user: str) -> str:
    """The prompt in ChatML, as the chat template in the model's metadata makes it."""
    head = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    return f"{head}<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"


def reply(r: random.Random, item: Item, terse: bool) -> str:
    """A right answer: the tersest form where the prompt asks for brevity, else mostly a sentence."""
    if terse or len(item.forms) == 1 or (item.skill != "sentence" and r.random() < 0.25):
        return item.answer(item.forms[0])
    return item.answer(r.choice(item.forms if item.skill == "sentence" else item.forms[1:]))
