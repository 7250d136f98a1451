"""Prompt templates: Jinja in a sandbox, compiled once and rendered per row.

`Template(text, part="prompt")` checks the syntax; `.variables` names what it reads; `.render(values)` gives the text.
A template of plain text and `{{ name }}` alone, the common case, is joined without the Jinja runtime.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, NoReturn

from jinja2 import StrictUndefined, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment


class TemplateError(Exception):
    """A template that cannot be used: `part` is system or prompt, `offset` a place in its text (characters)."""

    def __init__(self, message: str, part: str, offset: int = 0) -> None:
        super().__init__(message)
        self.part, self.offset = part, offset


def as_text(value: Any) -> Any:
    """How a value of a row reads in a prompt: NULL is empty, lists and structs are JSON, the rest as SQL prints it."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"{value:.1f}"
    return value


def order(items: Sequence[Any], seed: object = 0) -> list[int]:
    """The seeded order in which a list is shown, as positions from 0; the SQL macro `distil_order` gives the same.

    It follows from the items themselves, so that a row is shown in one order wherever and whenever it is asked.
    """
    keys = [
        hashlib.md5(f"{as_text(seed)}:{i}:{as_text(item)}".encode("utf-8", "surrogatepass"), usedforsecurity=False)
        for i, item in enumerate(items, start=1)
    ]
    return sorted(range(len(keys)), key=lambda i: keys[i].hexdigest())


def _shuffled(items: Sequence[Any], seed: object = 0) -> list[Any]:
    return [items[i] for i in order(items, seed)]


def _reject(reason: object) -> NoReturn:
    raise ValueError(reason)


_REMEMBERED = 256


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, finalize=as_text, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
    for name in ("json", "tojson"):  # Jinja's own tojson escapes HTML
        environment.filters[name] = lambda value: json.dumps(value, ensure_ascii=False, default=str)
    environment.filters["shuffled"] = _shuffled
    environment.filters["reject"] = _reject  # {{ "why not" | reject }}: no call is made for this row
    return environment


class Template:
    """One compiled template; rendering is thread-safe."""

    def __init__(self, text: str, part: str = "prompt") -> None:
        self.text, self.part = text, part
        self._rendered: dict[tuple[Any, ...], str] = {}
        environment = _environment()
        try:
            tree = environment.parse(text)
            self.variables: frozenset[str] = frozenset(meta.find_undeclared_variables(tree)) - _assigned(tree)
            # all that it names: `{% set text = text | trim %}` reads an argument, which is none of its variables
            self._names = sorted({node.name for node in tree.find_all(nodes.Name)})
            self._draws = _draws(tree)
            self._pieces = _plain_pieces(tree, self.variables)
            self._compiled = None if self._pieces is not None else environment.from_string(text)
        except TemplateSyntaxError as error:
            lines = text.splitlines(keepends=True)
            offset = sum(len(line) for line in lines[: (error.lineno or 1) - 1])
            raise TemplateError(f"the {part} template does not parse: {error.message}", part, offset) from None

    def offset_of(self, variable: str) -> int:
        """Where a variable is first used, as a character offset."""
        found = re.search(r"\{[{%][^}]*?\b(" + re.escape(variable) + r")\b", self.text)
        return found.start(1) if found else 0

    def render(self, values: Mapping[str, Any]) -> str:
        """The text for one row; raises TemplateError where the row's values do not fit the template."""
        if self._pieces is not None:
            return "".join([piece if name is None else str(as_text(values[name])) for piece, name in self._pieces])
        # most system texts depend on little that differs from row to row
        read = [values.get(name) for name in self._names] if self.part == "system" and not self._draws else None
        same = (*read, *map(type, read)) if read is not None else None  # 1 is not true
        try:
            if same is not None and (known := self._rendered.get(same)) is not None:
                return known
        except TypeError:  # a list or struct among them
            same = None
        text = self._render(values)
        if same is not None:
            if len(self._rendered) >= _REMEMBERED:
                self._rendered.clear()
            self._rendered[same] = text
        return text

    def render_all(self, columns: Mapping[str, Sequence[Any]], count: int) -> list[str | TemplateError]:
        """The texts for `count` rows given as columns by name; for a row that does not fit, the error."""
        if self._pieces is not None:
            form = "".join(piece.replace("%", "%%") if name is None else "%s" for piece, name in self._pieces)
            read = [columns[name] for _, name in self._pieces if name is not None]
            texts = [[v if v.__class__ is str else as_text(v) for v in column] for column in read]
            return [form % row for row in zip(*texts, strict=True)] if texts else [form % ()] * count
        if count and not self._draws and all(_is_constant(columns[name]) for name in self._names if name in columns):
            return [self._render_or_error({name: column[0] for name, column in columns.items()})] * count
        names = list(columns)
        rows = zip(*columns.values(), strict=True) if columns else repeat((), count)
        return [self._render_or_error(dict(zip(names, row, strict=True))) for row in rows]

    def _render_or_error(self, values: Mapping[str, Any]) -> str | TemplateError:
        try:
            return self.render(values)
        except TemplateError as error:
            return error

    def _render(self, values: Mapping[str, Any]) -> str:
        assert self._compiled is not None
        try:
            return self._compiled.render(values)
        except Exception as error:  # a template is somebody's program: whatever it raises is this row's fault alone
            reason = f"{type(error).__name__}: {error}" if isinstance(error, LookupError) else error
            raise TemplateError(f"the {self.part} template cannot be rendered: {reason}", self.part) from None


def _is_constant(column: Sequence[Any]) -> bool:
    """Whether a column holds one text, or NULL, throughout: most arguments with a default do."""
    first = column[0] if column else None
    if first is not None and not isinstance(first, str):
        return False  # 1 equals true
    return column.count(first) == len(column)


def _draws(tree: nodes.Template) -> bool:
    """Whether a template may read otherwise each time: Jinja's filter `random`, also as `map('random')`, and lipsum."""
    return (
        any(node.name == "random" for node in tree.find_all(nodes.Filter))
        or any(node.value == "random" for node in tree.find_all(nodes.Const))
        or any(node.name == "lipsum" for node in tree.find_all(nodes.Name))
    )


def _assigned(tree: nodes.Template) -> set[str]:
    """Names that the template sets itself: Jinja calls one undeclared that is set inside an {% if %}."""
    targets = [node.target for node in tree.find_all(nodes.Assign)]
    targets += [node.target for node in tree.find_all(nodes.AssignBlock)]
    names = [name for target in targets for name in (target, *target.find_all(nodes.Name))]
    return {name.name for name in names if isinstance(name, nodes.Name)}


def _plain_pieces(tree: nodes.Template, variables: frozenset[str]) -> list[tuple[str, str | None]] | None:
    """(text, None) and ("", name) pieces of a template without logic; None if it has any."""
    pieces: list[tuple[str, str | None]] = []
    for node in tree.body:
        if not isinstance(node, nodes.Output):
            return None
        for child in node.nodes:
            if isinstance(child, nodes.TemplateData):
                pieces.append((child.data, None))
            elif isinstance(child, nodes.Name) and child.name in variables:
                pieces.append(("", child.name))
            else:
                return None
    return pieces
