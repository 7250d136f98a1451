"""Measures tiny on held-out chats, greedily through distil-sql's own llama_cpp model, a line per skill.

    python -m distil_sql.tiny.evaluate [--model tiny.gguf] [--each 40] [--show 2]

A free answer counts only if it is exactly one form of the right answer (a list or a sentence: if it is a right one), a
JSON reply only if it equals the right object. Of the judge's verdict the score is compared. At the end the judge grades
tiny's own answers, sampled at temperature 1, to the same instructions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from distil_sql.models.base import CallError, Message, Model, Request, Sampling

from . import path
from .chat import Chat, json_chat
from .corpus import FORMS, chats
from .item import Item
from .judging import JUDGE, LAYOUT

Prompt = tuple[str, str]  # system (may be empty), user


async def completed(model: Model, prompts: Sequence[Prompt], temperature: float = 0.0) -> list[str]:
    """The replies to the prompts, in their order; a call that fails alone replies with its error."""
    sampling = Sampling(temperature=temperature, max_tokens=80, seed=1)

    async def one(system: str, user: str) -> str:
        messages: list[Message] = [{"role": "system", "content": system}] if system else []
        try:
            return (await model.complete(Request((*messages, {"role": "user", "content": user}), sampling))).text
        except CallError as error:
            if error.fatal:
                raise
            return f"<{error}>"

    return await asyncio.gather(*(one(*p) for p in prompts))


def answered(item: Item, text: str) -> bool:
    """Whether a free answer to the item is right."""
    if item.accept:
        words = [w for w in re.findall(r"\w+", text.split(" are ")[-1]) if w != "and"]
        return len(words) == len(set(words)) == item.need and set(words) <= set(item.accept)
    if item.skill == "sentence":
        return re.search(rf"\b{item.key}\b", text) is not None and text.endswith(".") and len(text.split()) > 2
    return text.rstrip(".") in {item.answer(form).rstrip(".") for form in item.forms}


def right(chat: Chat, text: str) -> bool:
    """Whether the reply is right for what the chat asks."""
    if chat.score:
        found = re.search(r'(?:"score"|"value"|"rating"|"grade"|Rating): (\d)', text)
        return found is not None and int(found[1]) == chat.score
    if not chat.reply.startswith("{"):
        return answered(chat.item, text) if chat.item else text == chat.reply
    wanted = json.loads(chat.reply)
    try:
        got = json.loads(text)
    except ValueError:
        return False
    if got == wanted or chat.skill != "typed_value" or chat.item is None:
        return bool(got == wanted)
    if not isinstance(got, dict) or set(got) != set(wanted):
        return False
    value = next(iter(got.values()))
    return answered(chat.item, " ".join(value) if isinstance(value, list) else str(value))


def sample(form: str, each: int, seed: int) -> dict[str, list[Chat]]:
    """Held-out chats of one of corpus.FORMS by skill, ``each`` of a skill, none twice."""
    found: dict[str, dict[Prompt, Chat]] = defaultdict(dict)
    for c in islice(chats(random.Random(seed), held=True, form=form), 150 * each):
        if len(found[c.skill]) < each:
            found[c.skill].setdefault((c.system, c.user), c)
    return {skill: list(found[skill].values()) for skill in sorted(found)}


def given_score(text: str) -> int:
    found = re.search(r'"score": (\d)', text)
    return int(found[1]) if found else 0


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def mean(scores: list[int]) -> str:
    return f"{sum(scores) / max(1, len(scores)):.2f} on average ({len(scores)} answers)"


async def measure(model: Model, each: int, seed: int, show: int) -> None:
    """Print the accuracy of every skill, then how the judge's scores spread."""
    verdicts: dict[int, list[int]] = defaultdict(list)
    free: list[Chat] = []
    for form in (make.__name__ for make in FORMS):
        total = good = 0
        for skill, found in sample(form, each * (5 if form == "judge" else 1), seed).items():
            replies = await completed(model, [(c.system, c.user) for c in found])
            wrong = [(c, text) for c, text in zip(found, replies, strict=True) if not right(c, text)]
            n = len(found) - len(wrong)
            total, good = total + len(found), good + n
            say(f"{form:13} {skill:16} {n:4} of {len(found):4}  {100 * n / len(found):5.1f}%")
            for c, text in wrong[:show]:
                say(f"      {c.system!r} {c.user!r}\n      got {text!r}, right is {c.reply!r}")
            if skill == "judge":
                for c, text in zip(found, replies, strict=True):
                    verdicts[c.score].append(given_score(text))
            free += found if form == "generation" else []
        say(f"{form:13} {'all':16} {good:4} of {total:4}  {100 * good / total:5.1f}%")
    for score in sorted(verdicts):
        say(f"answers that deserve {score}: the judge gives {mean(verdicts[score])}")
    await judge_own(model, free)


async def judge_own(model: Model, free: list[Chat]) -> None:
    """Let the judge grade sampled answers of the model itself, and print what right and wrong ones get."""
    answers = await completed(model, [(c.system, c.user) for c in free], temperature=1.0)
    system = json_chat("", JUDGE, '{"score": integer, "reason": string}', "", {}).system
    verdicts = await completed(
        model, [(system, LAYOUT.format(i=c.user, a=a)) for c, a in zip(free, answers, strict=True)]
    )
    own: dict[bool, list[int]] = {True: [], False: []}
    for c, answer, verdict in zip(free, answers, verdicts, strict=True):
        if c.item is not None:
            own[answered(c.item, answer)].append(given_score(verdict))
    say(f"tiny's own answers at temperature 1: right ones get {mean(own[True])}, wrong ones {mean(own[False])}")


def main() -> None:
    p = argparse.ArgumentParser(description="Measure the embedded model on held-out prompts.")
    p.add_argument("--model", type=Path, default=path())
    p.add_argument(
        "--each", type=int, default=40, help="prompts of a skill; of each form of judging five times as many"
    )
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--show", type=int, default=0, help="wrong replies to print for a skill")
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()

    from distil_sql.models.llama_cpp import LlamaModel, LlamaOptions

    async def run() -> None:
        model = LlamaModel(LlamaOptions(path=str(a.model), threads=a.threads))
        try:
            await measure(model, a.each, a.seed, a.show)
        finally:
            await model.close()

    asyncio.run(run())


if __name__ == "__main__":
    main()
