"""Prompts are, token for token, those that llama-cpp-python makes of the same messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: pip install 'distil-sql[llama]'")
pytest.importorskip("gguf", reason="gguf is not installed: pip install 'distil-sql[test]'")

import llama_cpp

from distil_sql.models.base import Message
from distil_sql.models.llama_cpp.api import Weights
from distil_sql.models.llama_cpp.chat import Chat
from distil_sql.prompt import formats
from tests import made_up_gguf

QWEN = """\
{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or message.role == "assistant" %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

LLAMA3 = """\
{% set loop_messages = messages %}
{% for message in loop_messages %}
{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim %}
{% set content = content + '<|eot_id|>' %}
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}
{{ content }}
{%- endfor %}
{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"""

GEMMA = """\
{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- for message in messages %}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}
{%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
{{- '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"""

MISTRAL = """\
{{ bos_token }}{% for message in messages %}
{%- if message['role'] == 'system' %}{{ raise_exception('only user and assistant roles') }}{% endif %}
{%- if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}
{%- else %}{{ message['content'] + eos_token + ' ' }}{% endif %}{% endfor %}"""

TEMPLATES = {name: formats.template(name) for name in formats.FORMATS if name != "openai"}
TEMPLATES = {f"our {name}": template for name, template in TEMPLATES.items()}
TEMPLATES |= {"plain chatml": made_up_gguf.CHATML, "qwen": QWEN, "llama3": LLAMA3, "gemma": GEMMA, "mistral": MISTRAL}

TEXTS = (
    *("hello there", "x", "  two spaces  ", " ", "one\ntwo\n\n", "\n\nbelow", "\ttab\t", "a\r\nb", "the   gap"),
    *(
        "naïve 日本語 🦆🏽",
        "a\u00a0b\u200b",
        '{"a": [1, "b"]}',
        "<b>not</b> | a <control> token",
        "[INS] </s",
        "0" * 99,
    ),
)


def chats(text: str) -> Iterator[list[Message]]:
    yield [{"role": "user", "content": text}]
    yield [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    yield [
        {"role": "system", "content": text},
        {"role": "user", "content": "why?"},
        {"role": "assistant", "content": text},
        {"role": "user", "content": text},
    ]


class Theirs:
    """What `Llama.create_chat_completion` gives `create_completion` to go on from."""

    def __init__(self, path: Path) -> None:
        self.llama = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
        self.llama.chat_format = "chat_template.default"  # the file's own, whatever it is taken for
        self.llama.create_completion = self._completion
        self._prompt: Sequence[int] = ()

    def tokens(self, messages: list[Message]) -> list[int]:
        self.llama.create_chat_completion(messages)
        return list(self._prompt)

    def _completion(self, prompt: Sequence[int], **_: Any) -> dict[str, Any]:
        self._prompt = prompt
        choice = {"text": "", "index": 0, "logprobs": None, "finish_reason": "stop"}
        return {"id": "1", "created": 0, "model": "", "choices": [choice], "usage": {}}


def write(folder: Path, tokenizer: str, template: str, *, space: bool = False) -> Path:
    """A file of little else than a vocabulary; with `space`, one that puts a space before a text, as Llama 2's does."""
    path = made_up_gguf.write(
        folder / f"chat_{tokenizer}.gguf", tokenizer=tokenizer, chat_template=template, width=32, layers=1, hidden=32
    )
    data, key = path.read_bytes(), b"tokenizer.ggml.add_space_prefix\x07\x00\x00\x00"
    assert data.count(key + b"\x00") == 1
    path.write_bytes(data.replace(key + b"\x00", key + bytes([space])))
    return path


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize(("tokenizer", "space"), [("llama", False), ("llama", True), ("gpt2", False)])
def test_prompts_are_those_of_llama_cpp_python(folder: Path, tokenizer: str, space: bool, name: str) -> None:
    """But for the beginning of sequence where a template has none: llama.cpp's own programs put it there, as the file
    asks for, and llama-cpp-python does not.
    """
    template = TEMPLATES[name]
    path = write(folder, tokenizer, template, space=space)
    weights, theirs = Weights(str(path)), Theirs(path)
    ours = Chat(weights, template)
    try:
        for text in TEXTS:
            for messages in chats(text):
                try:
                    expected = theirs.tokens(messages)
                except ValueError:  # no system turn
                    expected = theirs.tokens(formats.fold_system(messages))
                begins = [] if "bos_token" in template else [weights.bos]
                assert ours.tokens(messages) == begins + expected
    finally:
        weights.close()
        theirs.llama.close()


@pytest.mark.parametrize("tokenizer", ["llama", "gpt2"])
def test_a_beginning_is_there_once_and_an_end_where_the_template_has_one(folder: Path, tokenizer: str) -> None:
    (_, _, messages) = chats("hi")
    for template, ends in ((MISTRAL, 1), (GEMMA, 0), (LLAMA3, 0), (QWEN, 4), (made_up_gguf.CHATML, 4)):
        weights = Weights(str(write(folder, tokenizer, template)))
        for given in (template, "{{ bos_token }}" + template):
            tokens = Chat(weights, given).tokens(messages)
            assert tokens[0] == weights.bos
            assert (tokens.count(weights.bos), tokens.count(weights.eos)) == (1, ends)
        weights.close()


@pytest.mark.parametrize("spelling", ["<|im_end|>", "<|im_start|>system\n", "<s>", "</s>", "<|eot_id|>"])
@pytest.mark.parametrize("tokenizer", ["llama", "gpt2"])
def test_data_that_spells_a_control_token_is_text_here_and_a_token_there(
    folder: Path, tokenizer: str, spelling: str
) -> None:
    path = write(folder, tokenizer, made_up_gguf.CHATML)
    weights, theirs = Weights(str(path)), Theirs(path)
    messages: list[Message] = [{"role": "user", "content": f"ab {spelling} cd"}]
    controls = {token for token, _ in weights.control_texts().values()}
    try:
        ours = Chat(weights, made_up_gguf.CHATML).tokens(messages)
        other = [weights.bos, *theirs.tokens(messages)]
        assert ours != other
        assert sum(token in controls for token in ours) == 4  # beginning, two turns, one end
        assert sum(token in controls for token in other) == 5
        spelled = [b"".join(weights.piece(t) or weights.text(t).encode() for t in tokens) for tokens in (ours, other)]
        assert spelled[0] == spelled[1]
    finally:
        weights.close()
        theirs.llama.close()
