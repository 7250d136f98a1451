"""Chats of the judge: an instruction, an answer that is right, half right or wrong, its score and the reason."""

from __future__ import annotations

import random

from .chat import Chat, json_chat, reply
from .item import Item
from .skills import any_item

JUDGE = "You grade answers."
RUBRIC = """You grade answers from 1 to 5. 5: right, complete and clear. 4: right, with a small flaw. 3: partly right.
2: mostly wrong or off the point. 1: wrong or empty. Give the score and one short sentence of reason."""
JUDGES = (
    JUDGE,
    "You grade answers from 1 to 5.",
    "You are a strict judge.",
    "Rate the answer from 1 to 5.",
    "You judge how good an answer is.",
    "Grade the answer to the instruction from 1 (bad) to 5 (good).",
)
REMARKS = (
    "5: right, complete and clear.",
    "4: right, with a small flaw.",
    "3: partly right.",
    "2: mostly wrong or off the point.",
    "1: wrong or empty.",
    "5 is best, 1 is worst.",
    "Give the score and one short sentence of reason.",
    "Give a score from 1 to 5 and a reason.",
    "Be strict.",
    "Say why.",
    "A wrong answer gets 1.",
    "Judge only whether the answer is right.",
)
LAYOUT = "Instruction: {i}\nAnswer: {a}"
LAYOUTS = (
    LAYOUT,
    "Question: {i}\nAnswer: {a}",
    "Instruction: {i}\nResponse: {a}",
    "Prompt: {i}\nResponse: {a}",
)
RATINGS = (
    "Reply as: Rating: <1-5>",
    "Answer in this format: Rating: <1-5>",
    "Rating: <1-5>",
    "Rate the answer. Reply with Rating: <1-5>",
)
RATIONALES = ("Reply as:\nRating: <1-5>\nRationale: <reason>", "Rating: <1-5>\nRationale: <one sentence>")


def judged(r: random.Random, item: Item) -> tuple[str, int, str]:
    """A response to the item as a model might give it, the score it deserves, and the reason."""
    form = r.choice(item.forms)
    good, p = item.answer(form), r.random()
    should = item.why or f"Wrong: it should be {item.key}."
    if p > 0.985:
        return "", 1, "There is no answer."
    if p < 0.40:
        return good, 5, "The answer is right."
    if p < 0.44:
        if r.random() < 0.5:
            return f"{good} {good}", 4, "Right, but it says it twice."
        return f"{good} {reply(r, any_item(r), False)}", 4, "Right, but with extra text."
    if p < 0.50 and item.near:
        return _near(r, item, form)
    if p < 0.56 and item.key != good and item.skill not in ("sentence", "greeting", "job") and len(item.key) < 20:
        two = [item.key, item.wrong[0]]
        r.shuffle(two)
        return item.answer(form, " or ".join(two)), 3, f"Partly right: it should only be {item.key}."
    if p < 0.62 and len(good.split()) > 3:
        words = good.split()
        cut = " ".join(words[: r.randint(1, len(words) - 2)])
        if item.key not in cut:
            return cut, 2, "The answer is not complete."
    if p < 0.70:
        other = any_item(r)
        if other.skill != item.skill:
            return reply(r, other, False), 1, "The answer does not fit the question."
    if p < 0.75:
        words = (good + " " + reply(r, any_item(r), False)).split()
        r.shuffle(words)
        if len(words) > 5:
            return " ".join(words), 1, "The answer makes no sense."
    if item.near and r.random() < 0.4:
        return _near(r, item, form)
    return item.answer(form, r.choice(item.wrong)), 1, should


def _near(r: random.Random, item: Item, form: str) -> tuple[str, int, str]:
    key, score, reason = r.choice(item.near)
    return item.answer(form, key), score, reason


def _system(r: random.Random) -> str:
    """The shipped judge's system prompt (sql/tasks/judge.sql), or another with some remarks."""
    if r.random() < 0.5:
        return RUBRIC
    remarks = r.sample(REMARKS, r.choice([0, 0, 1, 2, 3, 5]))
    return " ".join([r.choice(JUDGES), *remarks]).replace(". ", r.choice([". ", ". ", ".\n"]))


def judge(r: random.Random) -> Chat:
    """A judge's chat: mostly the form of distil-sql's own judge, some with other wording, names or a plain rating."""
    item = any_item(r)
    response, score, reason = judged(r, item)
    p = r.random()
    system = JUDGE if r.random() < 0.65 else _system(r)
    layout = LAYOUT if r.random() < 0.8 else r.choice(LAYOUTS)
    user = layout.format(i=item.question, a=response)
    if p < 0.84:
        shape, verdict = '{"score": integer, "reason": string}', {"score": score, "reason": reason}
        return json_chat("judge", system, shape, user, verdict, item, score)
    if p < 0.88:
        return json_chat("judge_value", system, '{"value": integer}', user, {"value": score}, item, score)
    if p < 0.91:
        name = r.choice(["rating", "grade"])
        shape, verdict = f'{{"{name}": integer, "reason": string}}', {name: score, "reason": reason}
        return json_chat("judge_value", system, shape, user, verdict, item, score)
    system = system if r.random() < 0.5 else ""
    if p < 0.95:
        return Chat("judge_rating", system, f"{user}\n{r.choice(RATINGS)}", f"Rating: {score}", item, score)
    user, text = f"{user}\n{r.choice(RATIONALES)}", f"Rating: {score}\nRationale: {reason}"
    return Chat("judge_rating", system, user, text, item, score)
