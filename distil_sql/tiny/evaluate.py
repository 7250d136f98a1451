"""Measures tiny on held-out chats, greedily through llama.cpp, a line per skill.

    python -m distil_sql.tiny.evaluate [--model tiny.gguf] [--each 40] [--show 2]

An answer counts only if it is exactly one of the right answers' forms (for a list or a sentence: if it is a right one), a JSON reply only if it
equals the right object; of the judge's verdict only the score is compared.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import path
from .corpus import FORMS, Chat, chats, judge, render
from .item import Item

Complete = Callable[[str, str], str]  # system, user → reply


def loaded(file: Path) -> Complete:
    """A greedy completion function over the model in ``file``."""
    import llama_cpp.llama_cpp as low
    from llama_cpp import Llama

    defaults = low.llama_model_default_params

    def portable() -> Any:  # ggml's AMX kernels, an "extra buffer", crash on some machines with 0.3.36
        params = defaults()
        params.use_extra_bufts = False
        return params

    low.llama_model_default_params = portable
    try:
        model: Any = Llama(str(file), n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False)
    finally:
        low.llama_model_default_params = defaults

    def complete(system: str, user: str) -> str:
        ids = model.tokenize(render(system, user).encode(), add_bos=False, special=True)
        text: str = model.create_completion(ids, temperature=0.0, max_tokens=80)["choices"][0]["text"]
        return text

    return complete


def answered(item: Item, text: str) -> bool:
    """Whether a free answer to the item is right."""
    if item.accept:
        words = [w for w in re.findall(r"\w+", text.split(" are ")[-1]) if w != "and"]
        return len(words) == len(set(words)) == item.need and set(words) <= set(item.accept)
    if item.skill == "sentence":
        return re.search(rf"\b{item.key}\b", text) is not None and text.endswith(".") and len(text.split()) > 2
    return text.rstrip(".") in {item.answer(form).rstrip(".") for form in item.forms}


def _object(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def right(chat: Chat, text: str) -> bool:
    """Whether the reply is right for what the chat asks."""
    if chat.score:
        found = re.search(r'(?:"score"|"value"|"rating"|"grade"|Rating): (\d)', text)
        return found is not None and int(found[1]) == chat.score
    if chat.skill == "typed_value" and chat.item is not None:
        got, key = _object(text), next(iter(json.loads(chat.reply)))
        if not isinstance(got, dict) or set(got) != {key}:
            return False
        value = got[key]
        if isinstance(value, list):
            return len(value) == len(set(value)) == chat.item.need and set(value) <= set(chat.item.accept)
        return json.loads(chat.reply)[key] == value or (isinstance(value, str) and answered(chat.item, value))
    if chat.reply.startswith("{"):
        return bool(_object(text) == json.loads(chat.reply))
    return answered(chat.item, text) if chat.item else text == chat.reply


def sample(form: int, count: int, each: int, seed: int) -> dict[str, list[Chat]]:
    """Held-out chats of one of corpus.FORMS by skill: ``each`` of a skill, at most ``count`` drawn."""
    found: dict[str, list[Chat]] = defaultdict(list)
    source, seen = chats(random.Random(seed), held=True, form=form), set()
    for _ in range(count):
        c = next(source)
        if len(found[c.skill]) < each and (c.system, c.user) not in seen:
            seen.add((c.system, c.user))
            found[c.skill].append(c)
    return dict(sorted(found.items()))


def main() -> None:
    p = argparse.ArgumentParser(description="Measure the embedded model on held-out prompts.")
    p.add_argument("--model", type=Path, default=path())
    p.add_argument("--each", type=int, default=40, help="prompts of a skill; ten times as many of the judge")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--show", type=int, default=0, help="wrong replies to print for a skill")
    a = p.parse_args()
    complete = loaded(a.model)
    verdicts: dict[int, list[int]] = defaultdict(list)
    say = sys.stdout.write
    for form, (_, make) in enumerate(FORMS):
        total = good = 0
        for skill, found in sample(form, 4000, a.each * (10 if make is judge else 1), a.seed).items():
            wrong = []
            for c in found:
                text = complete(c.system, c.user)
                if not right(c, text):
                    wrong.append((c, text))
                score = re.search(r'"score": (\d)', text)
                if c.skill == "judge" and score:
                    verdicts[c.score].append(int(score[1]))
            total, good = total + len(found), good + len(found) - len(wrong)
            say(
                f"{make.__name__:13} {skill:16} {len(found) - len(wrong):4} of {len(found):4}  {100 - 100 * len(wrong) / len(found):5.1f}%\n"
            )
            for c, text in wrong[: a.show]:
                say(f"      {c.system!r} {c.user!r}\n      got {text!r}, right is {c.reply!r}\n")
        say(f"{make.__name__:13} {'all':16} {good:4} of {total:4}  {100 * good / total:5.1f}%\n")
    for score in sorted(verdicts):
        say(
            f"answers that deserve {score}: {len(verdicts[score])}, the judge gives {sum(verdicts[score]) / len(verdicts[score]):.2f} on average\n"
        )


if __name__ == "__main__":
    main()
