"""Messages to the tokens a model was trained to answer, with no way out of a message for the text in it.

The template is rendered with a mark in the place of each content. Control tokens are looked for in the template's own
text only; what lies between two of them is tokenized as plain text, template and data together, as in training. So
`<|im_end|>` in a cell stays ten characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from jinja2 import TemplateError

from distil_sql.models.base import CallError, Message
from distil_sql.models.llama_cpp.api import Weights
from distil_sql.prompt import formats

# A mark is private-use characters around a message's number, inside white space that only a template's `trim` removes
# (a vertical tab: no template writes one), so that the data can be trimmed where the template trims.
_PAD = "\x0b"
_MARK = re.compile(f"({_PAD}?)\ue0f0([0-9]+)\ue0f1({_PAD}?)")

Part = str | tuple[int, bool, bool]
"""A piece of the rendered template: its own text, or (message number, keep leading space, keep trailing space)."""


class Chat:
    """A model's chat template and vocabulary; `tokens(messages)` is the prompt."""

    def __init__(self, weights: Weights, template: str) -> None:
        self._weights, self._template = weights, template
        self._controls = weights.control_texts()
        self._split = _pattern(self._controls)
        # Some files declare control tokens "user-defined", and those llama.cpp finds in plain text as well.
        self._spoofs = _pattern(
            text for text in weights.fixed_texts() if len(text) > 1 and text.strip() and text in template
        )
        self._layout = lru_cache(maxsize=256)(self._render)

    def tokens(self, messages: Sequence[Message]) -> list[int]:
        """The prompt, beginning of sequence once; raises `CallError` where the template refuses the messages."""
        try:
            return self._encode(self._parts(messages), [message["content"] for message in messages])
        except TemplateError as error:
            if not any(message["role"] == "system" for message in messages):
                raise CallError(
                    "invalid_request", f"the model's chat template refuses these messages: {error}"
                ) from error
        return self.tokens(formats.fold_system(messages))

    def _parts(self, messages: Sequence[Message]) -> tuple[Part, ...]:
        return self._layout(tuple((message["role"], bool(message["content"])) for message in messages))

    def _render(self, shape: tuple[tuple[str, bool], ...]) -> tuple[Part, ...]:
        """Render marks for the contents of messages of these (role, has content); the same for all rows of a task."""
        marked = [
            {"role": role, "content": f"{_PAD}\ue0f0{number}\ue0f1{_PAD}" if full else ""}
            for number, (role, full) in enumerate(shape)
        ]
        text = formats.render_chat(
            self._template,
            marked,
            bos_token=self._weights.text(self._weights.bos),
            eos_token=self._weights.text(self._weights.eos),
        )
        parts: list[Part] = []
        end = 0
        for mark in _MARK.finditer(text):
            parts.append(text[end : mark.start()])
            parts.append((int(mark[2]), bool(mark[1]), bool(mark[3])))
            end = mark.end()
        parts.append(text[end:])
        shown = {part[0] for part in parts if not isinstance(part, str)}
        for number, (role, full) in enumerate(shape):
            if full and number not in shown and role in ("system", "user"):
                raise TemplateError(f"it leaves out the {role} message")
        return tuple(parts)

    def _encode(self, parts: Sequence[Part], contents: Sequence[str]) -> list[int]:
        found: list[int] = []
        plain = [""]  # text since the last control token, in pieces that must not join
        eats = False

        def flush() -> None:
            for text in filter(None, plain):
                found.extend(self._weights.tokenize(text))
            plain[:] = [""]

        for part in parts:
            if not isinstance(part, str):
                number, leading, trailing = part
                content = contents[number] if leading else contents[number].lstrip()
                first, *rest = self._broken(content if trailing else content.rstrip())
                plain[-1] += first
                plain.extend(rest)
                eats = False
                continue
            for text in self._split.split(part):
                if text in self._controls:
                    flush()
                    token, eats = self._controls[text]
                    found.append(token)
                elif text:
                    plain[-1] += text.lstrip() if eats else text
                    eats = False
        flush()
        bos = self._weights.bos
        if self._weights.add_bos and found[:1] != [bos]:
            found.insert(0, bos)
        while found[:2] == [bos, bos]:
            del found[0]
        return found

    def _broken(self, data: str) -> list[str]:
        """Data in pieces that no user-defined control text survives."""
        pieces, start = [], 0
        for spoof in self._spoofs.finditer(data):
            pieces.append(data[start : spoof.start() + 1])
            start = spoof.start() + 1
        return [*pieces, data[start:]]


def _pattern(specials: Iterable[str]) -> re.Pattern[str]:
    """Finds any of the texts, the longest first, as llama.cpp does."""
    texts = sorted(specials, key=len, reverse=True)
    return re.compile("(" + "|".join(map(re.escape, texts)) + ")" if texts else "(?!)")
