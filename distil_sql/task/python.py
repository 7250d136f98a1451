"""Tasks in Python, for what SQL cannot parse: one function writes the prompt, another reads the answer.

    @distil_sql.task(kind="labeller", returns="STRUCT(score INTEGER)")
    def grade(instruction: str, response: str) -> str: ...     # a text, or a list of messages

    @grade.parse                                               # of the arguments, it takes those that it names
    def _(text: str, response: str) -> dict: ...               # ValueError or None: the answer cannot be read

Functions cannot be stored: `distil_sql.register_task(con, grade)` makes the SQL functions work for as long as the
database is open here. Several threads may call them at once.
"""

from __future__ import annotations

import datetime as dt
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from distil_sql.errors import OptionError
from distil_sql.prompt import Message
from distil_sql.prompt.template import Template, TemplateError
from distil_sql.quoting import text
from distil_sql.task import Argument, Task, chat, nearest
from distil_sql.task.output import Output

_TYPES: dict[object, str] = {
    str: "VARCHAR",
    int: "BIGINT",
    float: "DOUBLE",
    bool: "BOOLEAN",
    dt.date: "DATE",
    dt.datetime: "TIMESTAMP",
}

_Function = typing.TypeVar("_Function", bound=Callable[..., object])


@dataclass(frozen=True)
class PythonTask(Task):
    """A task whose prompt, and perhaps whose reading of the answer, is a function."""

    write: Callable[..., object] | None = None
    read: Callable[..., object] | None = None
    read_names: tuple[str, ...] = ()

    @property
    def in_python(self) -> bool:
        return True

    @property
    def reads_in_python(self) -> bool:
        return self.read is not None

    @cached_property
    def output(self) -> Output:
        """Where a function reads the answer, it is asked for as plain text."""
        return Output("VARCHAR" if self.read else self.returns)

    @cached_property
    def given(self) -> Output:
        return Output(self.returns)

    @cached_property
    def parse_inputs(self) -> tuple[Argument, ...]:
        """The arguments that the function which reads the answer takes."""
        return tuple(argument for argument in self.arguments if argument.name in self.read_names)

    @property
    def keeps_truncated(self) -> bool:
        return super().keeps_truncated and (not self.read or "truncated" in self.options)

    @property
    def templates(self) -> tuple[Template | None, Template] | None:
        return None  # a function writes the messages

    def messages(self, values: Mapping[str, Any]) -> tuple[Message, ...]:
        assert self.write is not None
        try:
            prompt = self.write(**values)
        except Exception as error:  # it is somebody's program: whatever it raises is this row's fault alone
            raise TemplateError(f"the task's function raised {_said(error)}", "prompt") from None
        if isinstance(prompt, str):
            return chat([{"role": "user", "content": prompt}], self.output.hint)
        if not isinstance(prompt, Sequence):
            kind = type(prompt).__name__
            raise TemplateError(f"the task's function gave {kind}, not a text or a list of messages", "prompt")
        return chat([turn if _is_message(turn) else None for turn in prompt], self.output.hint)

    def value(self, response: str, values: Mapping[str, Any]) -> str:
        assert self.read is not None
        try:
            found = self.read(response, **{name: values[name] for name in self.read_names})
        except ValueError as error:
            raise ValueError(str(error) or "ValueError") from None
        except Exception as error:
            raise ValueError(f"the function that reads it raised {_said(error)}") from None
        if found is None:
            raise ValueError("the function that reads it gave None")
        return self.given.fit(found)


class TaskFunction:
    """What `@distil_sql.task` makes of a function: itself, callable as before, and how it becomes a task."""

    def __init__(self, function: Callable[..., object], task: PythonTask) -> None:
        self.function, self.task = function, task
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        return self.function(*args, **kwargs)

    def parse(self, function: _Function) -> _Function:
        """Read answers with this function: its first argument is the answer, the others are of the task."""
        known = [argument.name for argument in self.task.arguments]
        names: list[str] = []
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            if parameter.kind is parameter.VAR_KEYWORD:
                names += [name for name in known if name not in names]
            elif parameter.name in known:
                names.append(parameter.name)
            elif parameter.default is parameter.empty:
                hint = nearest(parameter.name, known)
                raise OptionError(f"task {self.task.name!r} has no argument {parameter.name!r} to parse with{hint}")
        self.task = replace(self.task, read=function, read_names=tuple(names))
        return function


def task(
    function: Callable[..., object] | None = None,
    /,
    *,
    kind: str = "generator",
    returns: str = "VARCHAR",
    name: str | None = None,
    model: str | None = None,
    arguments: Mapping[str, str] | None = None,
    **options: object,
) -> Any:
    """Make a task of a function that writes its prompt; raises OptionError for what cannot be one.

    `returns` is a DuckDB type, `name` the function's own by default, `model` a model's name, `arguments` the SQL types
    of arguments whose annotations do not say them; `options` are those of WITH (`max_tokens=256, reask=2`).
    """
    if function is None:
        return lambda written: task(
            written, kind=kind, returns=returns, name=name, model=model, arguments=arguments, **options
        )
    named = name or function.__name__
    if kind not in ("generator", "labeller"):
        raise OptionError(f"task {named!r} is of kind 'generator' or 'labeller', not {kind!r}")
    taken = _arguments(function, named, dict(arguments or {}))
    made = PythonTask(named, kind, taken, returns, "", model=model, options=options, write=function)
    try:
        made.check()
    except OptionError as error:
        raise OptionError(f"task {named!r}: {error}") from None
    return TaskFunction(function, made)


def _arguments(function: Callable[..., object], task: str, types_: dict[str, str]) -> tuple[Argument, ...]:
    hints = {key: hint for key, hint in _hints(function).items() if key not in types_}
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise OptionError(f"task {task!r} cannot take {parameter}: each argument needs a name of its own")
        type_ = types_.pop(name, None) or _sql_type(hints.get(name))
        if type_ is None:
            said = f"is {hints[name]}, which no SQL type is like" if name in hints else "has no annotation"
            raise OptionError(f"argument {name!r} of task {task!r} {said}: say arguments={{{name!r}: 'VARCHAR'}}")
        default = None if parameter.default is parameter.empty else _literal(parameter.default, name, task)
        found.append(Argument(name, type_, default))
    if types_:
        raise OptionError(f"task {task!r} has no argument {next(iter(types_))!r}")
    return tuple(found)


def _hints(function: Callable[..., object]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):  # names that are known to a type checker alone
        return dict(getattr(function, "__annotations__", {}))


def _sql_type(hint: Any) -> str | None:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        rest = [part for part in inner if part is not type(None)]
        return _sql_type(rest[0]) if len(rest) == 1 else None
    if origin is list:
        item = _sql_type(inner[0])
        return f"{item}[]" if item else None
    if origin is dict:
        key, value = map(_sql_type, inner)
        return f"MAP({key}, {value})" if key and value else None
    try:
        return _TYPES.get(hint)
    except TypeError:
        return None


def _literal(value: object, name: str, task: str) -> str:
    """A default as SQL."""
    if value is None or isinstance(value, str):
        return text(value)
    if isinstance(value, bool | int | float):
        return repr(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_literal(item, name, task) for item in value)}]"
    raise OptionError(f"the default of argument {name!r} of task {task!r} cannot be written in SQL: {value!r}")


def _is_message(turn: object) -> bool:
    return isinstance(turn, Mapping) and isinstance(turn.get("content"), str) and "role" in turn


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
