"""Reads the statements that are ours: CREATE MODEL, CREATE … TASK, DROP MODEL, DROP TASK, LOAD TASKS.

`read_ddl(statement)` gives the typed statement, or None where it is DuckDB's to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from distil_sql.errors import OptionError
from distil_sql.prompt.template import TemplateError
from distil_sql.script.lexer import Source, Token, matching, split_on_commas
from distil_sql.script.statements import CreateModel, CreateTask, Drop, LoadTasks, Sql, Statement
from distil_sql.task import Argument, Task

_CLAUSES = ("RETURNS", "SYSTEM", "PROMPT", "PARSE", "MODEL", "WITH")
_KINDS = {"GENERATOR": "generator", "LABELLER": "labeller", "LABELER": "labeller", "EMBEDDER": "embedder"}


def read_ddl(statement: Sql) -> Statement | None:
    """The CREATE/DROP MODEL/TASK statement that this is, else None."""
    words = [token.text.upper() if token.kind == "word" else "" for token in statement.tokens[:5]] + [""] * 5
    if words[0] == "DROP" and words[1] in ("MODEL", "TASK"):
        return _Reader(statement, 2).drop(words[1].lower())
    if words[:2] == ["LOAD", "TASKS"] and len(statement.tokens) > 2:  # alone it is DuckDB's, of an extension
        return _Reader(statement, 2).load_tasks()
    if words[0] == "CREATE":
        at = 3 if words[1:3] == ["OR", "REPLACE"] else 1
        if words[at] == "MODEL":
            return _Reader(statement, at + 1).create_model(replace=at == 3)
        if words[at] in _KINDS and words[at + 1] == "TASK":
            return _Reader(statement, at + 2).create_task(_KINDS[words[at]], replace=at == 3)
        if words[at] == "TASK":
            message = "say which kind of task this is: CREATE GENERATOR TASK, LABELLER TASK or EMBEDDER TASK"
            raise statement.error(message, at=statement.tokens[at].start)
    return None


class _Reader:
    """Walks one statement's tokens."""

    def __init__(self, statement: Statement, index: int) -> None:
        self.statement, self.tokens, self.index = statement, statement.tokens, index

    # -- statements ---------------------------------------------------------------------------------------------

    def drop(self, what: str) -> Drop:
        if_exists = self.take_words("IF", "EXISTS")
        name = self.name(f"the {what} to drop")
        self.expect_end()
        return Drop(*self.base, what=what, name=name, if_exists=if_exists)

    def load_tasks(self) -> LoadTasks:
        self.take_words("FROM")
        token = self.peek()
        is_path = token is not None and token.kind == "string"
        path = "LOAD TASKS takes a folder or file in quotes, or the name of an installed package"
        what = self.string(path).value if is_path else self.name(path)
        prefix = self.name("a name after AS") if self.take_words("AS") else None
        self.expect_end()
        return LoadTasks(*self.base, what=what, is_path=is_path, prefix=prefix)

    def create_model(self, *, replace: bool) -> CreateModel:
        if_not_exists = self.take_words("IF", "NOT", "EXISTS")
        name = self.name("the model's name")
        options = self.options("a model's options: (TYPE openai, model '…')")
        self.expect_end()
        return CreateModel(*self.base, name=name, options=options, replace=replace, if_not_exists=if_not_exists)

    def create_task(self, kind: str, *, replace: bool) -> CreateTask:
        if_not_exists = self.take_words("IF", "NOT", "EXISTS")
        name_token = self.peek()
        name = self.name("the task's name")
        arguments = self.arguments()
        texts: dict[str, Token] = {}
        usual = "FLOAT[]" if kind == "embedder" else "VARCHAR"
        returns, returns_start, model, options = usual, name_token.start if name_token else 0, None, {}
        seen: set[str] = set()
        while (token := self.peek()) is not None:
            clause = token.text.upper()
            if not token.is_word(*_CLAUSES):
                self.fail(token, f"expected one of {', '.join(_CLAUSES)}, not {token.text!r}")
            if clause in seen:
                self.fail(token, f"{clause} is given twice")
            seen.add(clause)
            self.index += 1
            if clause == "RETURNS":
                returns, returns_start = self.type_text(_CLAUSES, "a type after RETURNS")
            elif clause == "MODEL":
                model = self.name("a model's name after MODEL")
            elif clause == "WITH":
                options = self.options("options after WITH: (max_tokens 256)")
            else:
                texts[clause] = self.string(f"text after {clause}, in $$ … $$ or quotes")
        if "PROMPT" not in texts:
            raise self.statement.error(f"task {name!r} has no PROMPT: add PROMPT $$ … $$")
        place = {clause: token.content_start for clause, token in texts.items()}
        system, prompt, parse = (texts[c].value if c in texts else None for c in ("SYSTEM", "PROMPT", "PARSE"))
        try:
            task = Task(
                name=name,
                kind=kind,
                arguments=tuple(arguments),
                returns=returns,
                system=system,
                prompt=prompt or "",
                parse=parse,
                model=model,
                options=options,
            )
            _ = task.output
        except OptionError as error:
            raise self.statement.error(f"task {name!r}: {error}", at=returns_start) from None
        try:
            task.check()
        except TemplateError as error:
            clause = error.part.upper()
            at = place[clause] + error.offset
            raise self.statement.error(f"task {name!r}: {error}", at=at) from None
        except OptionError as error:
            raise self.statement.error_naming(f"task {name!r}: {error}", besides=name) from None
        return CreateTask(
            *self.base,
            task=task,
            replace=replace,
            if_not_exists=if_not_exists,
            prompt_start=place["PROMPT"],
            system_start=place.get("SYSTEM", 0),
            returns_start=returns_start,
            parse_start=place.get("PARSE", 0),
        )

    # -- pieces -------------------------------------------------------------------------------------------------

    def arguments(self) -> list[Argument]:
        groups = self.bracketed("the task's arguments: (instruction VARCHAR)")
        arguments = []
        for group in groups:
            if len(group) < 2 or group[0].kind not in ("word", "quoted"):
                self.fail(group[0] if group else None, "an argument is a name and a type: instruction VARCHAR")
            cut = next((i for i, t in enumerate(group) if t.is_word("DEFAULT") or t.text == ":="), len(group))
            if cut == 1:
                self.fail(group[0], f"argument {group[0].name!r} has no type")
            default = self.slice(group[cut + 1 :]) if cut < len(group) else None
            if default == "":
                self.fail(group[cut], "expected a value after DEFAULT")
            arguments.append(Argument(group[0].name, self.slice(group[1:cut]), default))
        return arguments

    def options(self, what: str) -> dict[str, object]:
        options: dict[str, object] = {}
        for group in self.bracketed(what):
            if not group or group[0].kind not in ("word", "quoted"):
                self.fail(group[0] if group else None, f"expected {what}")
            name = group[0].name.lower()
            rest = group[2:] if len(group) > 1 and group[1].text in ("=", ":=") else group[1:]
            if not rest:
                self.fail(group[0], f"option {name!r} has no value")
            if name in options:
                self.fail(group[0], f"option {name!r} is given twice")
            options[name] = self.literal(rest)
        return options

    def literal(self, tokens: Sequence[Token]) -> object:
        """A value: string, number, TRUE, FALSE, NULL, bare word, [list], {struct}."""
        first = tokens[0]
        if first.text in ("[", "{"):
            if matching(tokens, 0) != len(tokens) - 1:
                self.fail(first, "this bracket is never closed" if matching(tokens, 0) >= len(tokens) else "one value")
            groups = split_on_commas(tokens[1:-1])
            if first.text == "[":
                return [self.literal(group) for group in groups]
            return dict(self.entry(group) for group in groups)
        if first.text in ("-", "+") and len(tokens) == 2 and tokens[1].kind == "number":
            number = self.number(tokens[1])
            return -number if first.text == "-" else number
        if len(tokens) != 1:
            self.fail(tokens[1], f"expected one value, not {self.slice(tokens)!r}")
        if first.kind == "string":
            return first.value
        if first.kind == "number":
            return self.number(first)
        if first.kind == "quoted":
            return first.name
        if first.kind != "word":
            self.fail(first, f"expected a value, not {first.text!r}")
        constants: dict[str, object] = {"TRUE": True, "FALSE": False, "NULL": None}
        return constants.get(first.text.upper(), first.text)

    def number(self, token: Token) -> int | float:
        text = token.text.replace("_", "").lower()
        try:
            if text.startswith("0x"):
                return int(text, 16)
            return float(text) if "." in text or "e" in text else int(text)
        except ValueError:
            self.fail(token, f"{token.text} is no number")

    def entry(self, group: list[Token]) -> tuple[str, object]:
        if len(group) < 3 or group[1].text not in (":", ":=", "=") or group[0].kind == "op":
            self.fail(group[0] if group else None, "an entry is 'name': value")
        key = group[0].value if group[0].kind == "string" else group[0].name
        return key, self.literal(group[2:])

    def bracketed(self, what: str) -> list[list[Token]]:
        opening = self.peek()
        if opening is None or opening.text != "(":
            self.fail(opening, f"expected {what}")
        close = matching(self.tokens, self.index)
        if close == len(self.tokens):
            self.fail(opening, "this bracket is never closed")
        inner = self.tokens[self.index + 1 : close]
        self.index = close + 1
        return split_on_commas(inner)

    def type_text(self, ends: tuple[str, ...], what: str) -> tuple[str, int]:
        start = self.index
        depth = 0
        while (token := self.peek()) is not None:
            if depth == 0 and self.index > start and token.is_word(*ends):
                # TIMESTAMP WITH TIME ZONE is one type
                after = self.tokens[self.index + 1] if self.index + 1 < len(self.tokens) else None
                if not (token.is_word("WITH") and after is not None and after.is_word("TIME")):
                    break
            depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
            self.index += 1
        if self.index == start:
            self.fail(self.peek(), f"expected {what}")
        return self.slice(self.tokens[start : self.index]), self.tokens[start].start

    def string(self, what: str) -> Token:
        token = self.peek()
        if token is None or token.kind != "string":
            self.fail(token, f"expected {what}")
        self.index += 1
        return token

    def name(self, what: str) -> str:
        token = self.peek()
        if token is None or token.kind not in ("word", "quoted"):
            self.fail(token, f"expected {what}")
        self.index += 1
        return token.name

    def take_words(self, *words: str) -> bool:
        found = self.tokens[self.index : self.index + len(words)]
        if len(found) == len(words) and all(t.is_word(w) for t, w in zip(found, words, strict=True)):
            self.index += len(words)
            return True
        return False

    def expect_end(self) -> None:
        if (token := self.peek()) is not None:
            self.fail(token, f"unexpected {token.text!r}: the statement should end here")

    def peek(self) -> Token | None:
        return self.tokens[self.index] if self.index < len(self.tokens) else None

    def slice(self, tokens: Sequence[Token]) -> str:
        return self.statement.source.text[tokens[0].start : tokens[-1].end] if tokens else ""

    def fail(self, token: Token | None, message: str) -> NoReturn:
        raise self.statement.error(message, at=token.start if token else self.tokens[-1].end)

    @property
    def base(self) -> tuple[int, str, int, tuple[Token, ...], Source]:
        s = self.statement
        return s.number, s.text, s.offset, s.tokens, s.source
