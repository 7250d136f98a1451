"""Chat formats: a list of messages as the text a model was trained on.

`format_messages(messages, "llama3")` writes them out; `template("llama3")` is the Jinja chat template behind a text
format, and `render_chat` renders any such template (a GGUF file's own, too) as Hugging Face's tokenizers do.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2 import Template, TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from distil_sql.errors import OptionError

if TYPE_CHECKING:
    from distil_sql.prompt import Message


@dataclass(frozen=True, slots=True)
class ChatFormat:
    """One text format: its template, its control texts, and whether it has a system turn of its own."""

    template: str
    bos_token: str = ""
    eos_token: str = ""
    has_system: bool = True


# A newline right after a block tag is dropped (`trim_blocks`), and so is the space before one (`lstrip_blocks`).
_PLAIN = """\
{%- for message in messages %}{{ message['content'] }}{% if not loop.last %}{{ '\\n\\n' }}{% endif %}{% endfor %}"""

_CHATML = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

_LLAMA2 = """\
{%- set ns = namespace(system='') %}
{%- for message in messages %}
{%- if message['role'] == 'system' %}
{%- set ns.system = '<<SYS>>\\n' + message['content'] | trim + '\\n<</SYS>>\\n\\n' %}
{%- elif message['role'] == 'user' %}
{{- bos_token + '[INST] ' + ns.system + message['content'] | trim + ' [/INST]' }}
{%- set ns.system = '' %}
{%- else %}
{{- ' ' + message['content'] | trim + ' ' + eos_token }}
{%- endif %}
{%- endfor %}"""

_LLAMA3 = """\
{{- bos_token }}
{%- for message in messages %}
{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

_ZEPHYR = """\
{%- for message in messages %}
{{- '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"""

_MISTRAL = """\
{{- bos_token }}
{%- for message in messages %}
{%- if message['role'] == 'system' %}
{{- raise_exception('this format has no system turn') }}
{%- elif message['role'] == 'user' %}
{{- '[INST] ' + message['content'] | trim + ' [/INST]' }}
{%- else %}
{{- ' ' + message['content'] | trim + eos_token }}
{%- endif %}
{%- endfor %}"""

_GEMMA = """\
{{- bos_token }}
{%- for message in messages %}
{%- if message['role'] == 'system' %}
{{- raise_exception('this format has no system turn') }}
{%- endif %}
{%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
{{- '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"""

_TEXT_FORMATS: Mapping[str, ChatFormat] = {
    "default": ChatFormat(_PLAIN),
    "chatml": ChatFormat(_CHATML, eos_token="<|im_end|>"),
    "llama2": ChatFormat(_LLAMA2, "<s>", "</s>"),
    "llama3": ChatFormat(_LLAMA3, "<|begin_of_text|>", "<|eot_id|>"),
    "zephyr": ChatFormat(_ZEPHYR, "<s>", "</s>"),
    "notus": ChatFormat(_ZEPHYR, "<s>", "</s>"),
    "mistral": ChatFormat(_MISTRAL, "<s>", "</s>", has_system=False),
    "gemma": ChatFormat(_GEMMA, "<bos>", "<eos>", has_system=False),
}

FORMATS: tuple[str, ...] = ("openai", *_TEXT_FORMATS)
"""Every name `format_messages` knows: `openai` is a JSON array of messages, the others are text."""


def format_messages(messages: Sequence[Message], format: str = "openai", *, add_generation_prompt: bool = True) -> str:
    """The messages in one of `FORMATS`, ending (text formats) where the assistant is to answer."""
    if format == "openai":
        return json.dumps([dict(message) for message in messages], ensure_ascii=False)
    chat = _text_format(format)
    return render_chat(
        chat.template,
        messages if chat.has_system else fold_system(messages),
        bos_token=chat.bos_token,
        eos_token=chat.eos_token,
        add_generation_prompt=add_generation_prompt,
    )


def template(format: str) -> str:
    """The Jinja chat template of a text format, for `render_chat`."""
    return _text_format(format).template


def fold_system(messages: Sequence[Message]) -> list[Message]:
    """The same chat without a system turn: its text leads the first user turn, a blank line between."""
    system = "\n\n".join(message["content"] for message in messages if message["role"] == "system")
    turns = [message for message in messages if message["role"] != "system"]
    if not system:
        return turns
    first = next((i for i, message in enumerate(turns) if message["role"] == "user"), None)
    if first is None:
        return [{"role": "user", "content": system}, *turns]
    turns[first] = {**turns[first], "content": f"{system}\n\n{turns[first]['content']}"}
    return turns


def render_chat(
    template: str,
    messages: Sequence[Message],
    *,
    bos_token: str = "",
    eos_token: str = "",
    add_generation_prompt: bool = True,
    **variables: Any,
) -> str:
    """Render a Hugging Face chat template in a sandbox; raises `jinja2.TemplateError` with the template's objection."""
    try:
        return _compiled(template).render(
            messages=[dict(message) for message in messages],
            bos_token=bos_token,
            eos_token=eos_token,
            add_generation_prompt=add_generation_prompt,
            **variables,
        )
    except TemplateError:
        raise
    except Exception as error:  # a template is somebody's program: a TypeError in it is a fault of the template
        raise TemplateError(f"{type(error).__name__}: {error}") from error


def _text_format(name: str) -> ChatFormat:
    if name in _TEXT_FORMATS:
        return _TEXT_FORMATS[name]
    if name == "openai":
        raise OptionError(f"the format 'openai' is a list of messages, not text: use one of {', '.join(_TEXT_FORMATS)}")
    near = difflib.get_close_matches(name, FORMATS, n=1, cutoff=0.5)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    raise OptionError(f"there is no prompt format '{name}'{hint}: use one of {', '.join(FORMATS)}")


@lru_cache(maxsize=64)
def _compiled(source: str) -> Template:
    return _environment().from_string(source)


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    """The environment `transformers` renders chat templates in, so that a template means the same here."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = _to_json  # Jinja's own escapes HTML
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda format: datetime.now().strftime(format)
    return environment


def _to_json(value: Any, indent: int | None = None, ensure_ascii: bool = False, sort_keys: bool = False) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)
