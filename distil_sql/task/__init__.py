"""A task: prompt template, typed inputs and output, and whether the LLM generates or labels.

`Task(...).messages(values)` renders one row; `Task(...).output` says how its answers are asked for and read.
"""

from __future__ import annotations

import difflib
import re
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from distil_sql.errors import OptionError
from distil_sql.prompt import Message
from distil_sql.prompt.template import Template, TemplateError
from distil_sql.task.output import Output
from distil_sql.task.schema import RowSchema

__all__ = ["RESERVED", "SAMPLING_OPTIONS", "Argument", "Task", "TemplateError", "chat", "nearest", "sampling_value"]

RESERVED = ("model", "sample", "n", "format")
"""Argument names that the task's own functions use."""

SAMPLING_OPTIONS: dict[str, type | tuple[type, ...]] = {
    "temperature": (int, float),
    "top_p": (int, float),
    "top_k": int,
    "min_p": (int, float),
    "max_tokens": int,
    "seed": int,
    "stop": (str, list),
}
"""Options a model and a task share, with the types they take."""

_ALONE = re.compile(r"\s*\{\{\s*(\w+)\s*\}\}\s*")
_CHAT = re.compile(r'STRUCT\s*\(\s*"?role"?\s+VARCHAR\s*,\s*"?content"?\s+VARCHAR\s*\)\s*\[\s*\]', re.IGNORECASE)
_ROLES = ("system", "user", "assistant")

_TASK_OPTIONS = (*SAMPLING_OPTIONS, "reask", "truncated", "schema")
_VECTOR = re.compile(r"\s*(FLOAT|FLOAT4|REAL|DOUBLE|FLOAT8)\s*\[\s*\d*\s*\]\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Argument:
    """One argument: `default` is a SQL expression, None where a value must be given."""

    name: str
    type: str
    default: str | None = None


@dataclass(frozen=True)
class Task:
    """A row of `distil.tasks`. `returns` is a DuckDB type, `parse` a SQL expression over `response`."""

    name: str
    kind: str
    arguments: tuple[Argument, ...]
    returns: str
    prompt: str
    system: str | None = None
    parse: str | None = None
    model: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    version: int = 1

    def check(self) -> None:
        """Raises TemplateError or OptionError for anything that could not work on any row."""
        names = [argument.name for argument in self.arguments]
        folded = [name.lower() for name in names]
        for name in names:
            if name.lower() in RESERVED:
                raise OptionError(f"an argument cannot be called {name!r}: the task's functions use that name")
            if folded.count(name.lower()) > 1:
                raise OptionError(f"argument {name!r} is given twice")
        for argument in self.arguments[: self.required[-1]] if self.required else ():
            if argument.default is not None:
                raise OptionError(f"argument {argument.name!r} has a default, so those after it need one too")
        for template in (self._prompt, self._system):
            if template is None:
                continue
            for variable in sorted(template.variables - set(names)):
                hint = nearest(variable, names)
                raise TemplateError(
                    f"the {template.part} uses {variable!r}, which is no argument of the task{hint}",
                    template.part,
                    template.offset_of(variable),
                )
        for key, value in self.options.items():
            if key not in _TASK_OPTIONS:
                raise OptionError(f"unknown option {key!r}{nearest(key, _TASK_OPTIONS)}")
            if key in SAMPLING_OPTIONS:
                sampling_value(key, value)
        if not isinstance(self.reask, int) or not 0 <= self.reask <= 10:
            raise OptionError(f"option 'reask' takes a number from 0 to 10, not {self.reask!r}")
        if self.options.get("truncated", "keep") not in ("keep", "null"):
            raise OptionError("option 'truncated' is 'keep' or 'null'")
        if "schema" in self.options:
            self._check_schema(names)
        if self.embeds:
            self._check_embedder()
        elif not self.parse:
            _ = self.output.shape

    def _check_schema(self, names: Sequence[str]) -> None:
        if not isinstance(self.options["schema"], str):
            raise OptionError("option 'schema' takes a template that gives a JSON schema: schema '{{ schema }}'")
        if self.output.schema is not None:
            raise OptionError(f"option 'schema' is for RETURNS JSON or a PARSE: here RETURNS {self.returns} says it")
        try:
            template = RowSchema(self.options["schema"])
        except TemplateError as error:
            raise OptionError(f"option 'schema': {error}") from None
        for variable in sorted(template.variables - set(names)):
            raise OptionError(f"option 'schema' uses {variable!r}, which is no argument{nearest(variable, names)}")

    def _check_embedder(self) -> None:
        if not _VECTOR.fullmatch(self.returns):
            raise OptionError(f"an embedder task gives a vector: RETURNS FLOAT[] or FLOAT[n], not {self.returns}")
        if self.system or self.parse or self.options:
            clause = "SYSTEM" if self.system else "PARSE" if self.parse else "WITH"
            raise OptionError(f"an embedder task has no {clause}: its PROMPT alone is the text that is embedded")

    @cached_property
    def _prompt(self) -> Template:
        return Template(self.prompt, "prompt")

    @cached_property
    def _system(self) -> Template | None:
        return Template(self.system, "system") if self.system else None

    @cached_property
    def _schema(self) -> RowSchema | None:
        template = self.options.get("schema")
        return RowSchema(template) if isinstance(template, str) else None

    @cached_property
    def output(self) -> Output:
        """How answers are asked for and read; for a PARSE task, plain text, and so for a vector."""
        return Output("VARCHAR" if self.parse or self.embeds else self.returns)

    @property
    def given(self) -> Output:
        """What SQL gets to see of an answer."""
        return self.output

    @property
    def in_python(self) -> bool:
        """Whether it is made of functions (see `task.python`), and so cannot be stored."""
        return False

    @property
    def reads_in_python(self) -> bool:
        """Whether its answers are read by a function, `value`."""
        return False

    def value(self, response: str, values: Mapping[str, Any]) -> str:
        """What a function of Python's reads of an answer, as `given` has it; raises ValueError where it cannot."""
        return response

    @property
    def embeds(self) -> bool:
        """Whether its answers are vectors of its prompts."""
        return self.kind == "embedder"

    @property
    def signature(self) -> str:
        """Its arguments as they are declared."""
        defaults = (f" DEFAULT {a.default}" if a.default is not None else "" for a in self.arguments)
        return ", ".join(f"{a.name} {a.type}{default}" for a, default in zip(self.arguments, defaults, strict=True))

    @cached_property
    def required(self) -> tuple[int, ...]:
        """Positions of the arguments that must not be NULL: those without a default."""
        return tuple(i for i, argument in enumerate(self.arguments) if argument.default is None)

    @cached_property
    def parse_inputs(self) -> tuple[Argument, ...]:
        """The arguments that the PARSE expression reads beside `response`."""
        words = set(re.findall(r"\w+", (self.parse or "").lower())) - {"response"}
        return tuple(argument for argument in self.arguments if argument.name.lower() in words)

    @cached_property
    def chat_argument(self) -> str | None:
        """The argument that is the chat itself: PROMPT is `{{ it }}` alone, its type STRUCT(role, content)[]."""
        alone = _ALONE.fullmatch(self.prompt)
        return next((a.name for a in self.arguments if alone and a.name == alone[1] and _CHAT.fullmatch(a.type)), None)

    @property
    def reask(self) -> int:
        """How often an answer that cannot be read is asked again, told what was wrong."""
        value = self.options.get("reask", 0 if self.embeds else 1)
        return value if isinstance(value, int) else -1

    @property
    def keeps_truncated(self) -> bool:
        """Whether an answer cut at max_tokens is a value: by default for text, not for typed answers."""
        default = "keep" if self.output.is_text and not self.parse else "null"
        return self.options.get("truncated", default) == "keep"

    def messages(self, values: Mapping[str, Any]) -> tuple[Message, ...]:
        """The chat for one row; raises TemplateError where the row does not fit the template."""
        system = self.system_text(self._system.render(values) if self._system else "")
        if self.chat_argument is not None:
            return chat(values[self.chat_argument], system)
        user: Message = {"role": "user", "content": self._prompt.render(values)}
        return ({"role": "system", "content": system}, user) if system.strip() else (user,)

    @property
    def schema_by_row(self) -> bool:
        """Whether each row says what schema its answer is to have."""
        return "schema" in self.options

    def schema(self, values: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The JSON schema that a row asks for in place of its type's (option `schema`), None where it asks for none.

        Raises TemplateError where what the row gives is no schema.
        """
        return self._schema.of(values) if self._schema else None

    @property
    def templates(self) -> tuple[Template | None, Template] | None:
        """Its system and prompt templates, where its messages are just those two; see `task.rendering`."""
        return (self._system, self._prompt) if self.chat_argument is None else None

    def system_text(self, written: str) -> str:
        """The system message, given what its template wrote: the form of the answer is asked for at its end."""
        if hint := self.output.hint:
            return f"{written.rstrip()}\n{hint}" if written.strip() else hint
        return written

    def usable(self, status: str | None, error_kind: str | None) -> bool:
        """Whether a stored response may give a value: re-reading what did not parse costs nothing."""
        return status == "ok" or error_kind == "unparsable" or (error_kind == "truncated" and self.keeps_truncated)


def chat(turns: Sequence[Mapping[str, Any] | None] | None, system: str) -> tuple[Message, ...]:
    """A chat given as data: the task's system text leads its own; without a turn, an empty one of the user's."""
    messages: list[Message] = []
    for number, turn in enumerate(turns or (), start=1):
        if turn is None or turn["role"] not in _ROLES or turn["content"] is None:
            wanted = f"a role ({', '.join(_ROLES)}) and a content"
            raise TemplateError(f"message {number} of the chat cannot be sent: it needs {wanted}", "prompt")
        messages.append({"role": turn["role"], "content": turn["content"]})
    if messages and messages[0]["role"] == "system":
        system = f"{system.rstrip()}\n\n{messages[0]['content']}" if system.strip() else messages[0]["content"]
        del messages[0]
    messages = messages or [{"role": "user", "content": ""}]
    return ({"role": "system", "content": system}, *messages) if system.strip() else tuple(messages)


def nearest(name: str, among: Iterable[str], cutoff: float = 0.6) -> str:
    """A "did you mean" clause, or nothing."""
    found = difflib.get_close_matches(name.lower(), list(among), n=1, cutoff=cutoff)
    return f"; did you mean {found[0]!r}?" if found else ""


def sampling_value(key: str, value: object) -> object:
    """A sampling option's value, checked; a single stop string becomes a list."""
    expected = SAMPLING_OPTIONS[key]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, expected):
        wanted = {
            "stop": "a string or a list of strings",
            "top_k": "a whole number",
            "max_tokens": "a whole number",
            "seed": "a whole number",
        }.get(key, "a number")
        raise OptionError(f"option {key!r} takes {wanted}, not {value!r}")
    if key == "stop":
        stops = [value] if isinstance(value, str) else value
        if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
            raise OptionError(f"option 'stop' takes a string or a list of strings, not {value!r}")
        return stops
    if isinstance(value, int | float):
        low, high = {"temperature": (0, 10), "top_p": (0, 1), "min_p": (0, 1), "max_tokens": (1, 10**7)}.get(
            key, (-(2**63), 2**63)
        )
        if not low <= value <= high:
            raise OptionError(f"option {key!r} takes a number from {low} to {high}, not {value!r}")
    return value


class _Decorator(types.ModuleType):
    """This module, also as `@distil_sql.task`: a package's attribute is its submodule of that name, once loaded."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from distil_sql.task.python import task

        return task(*args, **kwargs)


sys.modules[__name__].__class__ = _Decorator
