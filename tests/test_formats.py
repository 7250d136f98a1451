"""Chat formats: the texts that models were trained on, to the last newline."""

from __future__ import annotations

import json

import pytest
from jinja2 import TemplateError

from distil_sql.errors import OptionError
from distil_sql.prompt.formats import FORMATS, fold_system, format_messages, render_chat, template

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Say <b>hé</b>."}
ANSWER = {"role": "assistant", "content": "hé"}
AGAIN = {"role": "user", "content": "Again {{ x }}"}

ONE_TURN = {
    "default": "Be brief.\n\nSay <b>hé</b>.",
    "chatml": (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nSay <b>hé</b>.<|im_end|>\n<|im_start|>assistant\n"
    ),
    "llama2": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nSay <b>hé</b>. [/INST]",
    "llama3": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nSay <b>hé</b>.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "zephyr": "<|system|>\nBe brief.</s>\n<|user|>\nSay <b>hé</b>.</s>\n<|assistant|>\n",
    "notus": "<|system|>\nBe brief.</s>\n<|user|>\nSay <b>hé</b>.</s>\n<|assistant|>\n",
    "mistral": "<s>[INST] Be brief.\n\nSay <b>hé</b>. [/INST]",
    "gemma": "<bos><start_of_turn>user\nBe brief.\n\nSay <b>hé</b>.<end_of_turn>\n<start_of_turn>model\n",
}

MORE_TURNS = {
    "default": "Say <b>hé</b>.\n\nhé\n\nAgain {{ x }}",
    "chatml": (
        "<|im_start|>user\nSay <b>hé</b>.<|im_end|>\n<|im_start|>assistant\nhé<|im_end|>\n"
        "<|im_start|>user\nAgain {{ x }}<|im_end|>\n<|im_start|>assistant\n"
    ),
    "llama2": "<s>[INST] Say <b>hé</b>. [/INST] hé </s><s>[INST] Again {{ x }} [/INST]",
    "llama3": (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nSay <b>hé</b>.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nhé<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nAgain {{ x }}<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "zephyr": "<|user|>\nSay <b>hé</b>.</s>\n<|assistant|>\nhé</s>\n<|user|>\nAgain {{ x }}</s>\n<|assistant|>\n",
    "notus": "<|user|>\nSay <b>hé</b>.</s>\n<|assistant|>\nhé</s>\n<|user|>\nAgain {{ x }}</s>\n<|assistant|>\n",
    "mistral": "<s>[INST] Say <b>hé</b>. [/INST] hé</s>[INST] Again {{ x }} [/INST]",
    "gemma": (
        "<bos><start_of_turn>user\nSay <b>hé</b>.<end_of_turn>\n<start_of_turn>model\nhé<end_of_turn>\n"
        "<start_of_turn>user\nAgain {{ x }}<end_of_turn>\n<start_of_turn>model\n"
    ),
}


def test_every_format_is_written_down_here() -> None:
    assert set(FORMATS) == {"openai", *ONE_TURN}
    assert set(ONE_TURN) == set(MORE_TURNS)


@pytest.mark.parametrize("name", ONE_TURN)
def test_a_system_and_a_user_message(name: str) -> None:
    assert format_messages([SYSTEM, USER], name) == ONE_TURN[name]


@pytest.mark.parametrize("name", MORE_TURNS)
def test_a_conversation(name: str) -> None:
    assert format_messages([USER, ANSWER, AGAIN], name) == MORE_TURNS[name]


@pytest.mark.parametrize("name", ONE_TURN)
def test_data_is_never_read_as_a_template(name: str) -> None:
    assert "{{ x }}{% raw %}" in format_messages([{"role": "user", "content": "{{ x }}{% raw %}"}], name)


def test_openai_is_json_of_the_messages() -> None:
    text = format_messages([SYSTEM, USER], "openai")
    assert json.loads(text) == [SYSTEM, USER]
    assert "hé" in text


def test_without_a_generation_prompt_the_text_ends_with_the_last_turn() -> None:
    text = format_messages([USER, ANSWER], "chatml", add_generation_prompt=False)
    assert text.endswith("<|im_start|>assistant\nhé<|im_end|>\n")


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"'lama3' \(did you mean 'llama3'\?\): use one of openai, default"):
        format_messages([USER], "lama3")
    with pytest.raises(OptionError, match="not text"):
        template("openai")


def test_system_texts_lead_the_first_user_turn_where_there_is_no_system_turn() -> None:
    assert fold_system([USER]) == [USER]
    assert fold_system([SYSTEM, USER, ANSWER]) == [
        {"role": "user", "content": "Be brief.\n\nSay <b>hé</b>."},
        ANSWER,
    ]
    assert fold_system([SYSTEM]) == [{"role": "user", "content": "Be brief."}]


def test_templates_render_as_hugging_face_renders_them() -> None:
    source = (
        "{% for m in messages %}\n    {% if m['role'] == 'user' %}\n{{ m | tojson }}\n    {% endif %}\n{% endfor %}"
    )
    assert render_chat(source, [{"role": "user", "content": "<é>"}]) == '{"role": "user", "content": "<é>"}\n'
    assert render_chat("{{ strftime_now('%Y') }}", []).isdigit()
    assert render_chat("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", []) == "01"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[0]['content'] + 1 }}", "TypeError"),
        ("{% if %}", "Expected an expression"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_a_template_that_fails_or_reaches_outside_says_so(source: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        render_chat(source, [USER])
