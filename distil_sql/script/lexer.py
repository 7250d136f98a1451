"""Tokens of a SQL script, with exact places.

DuckDB's own tokenizer gives starts but no ends, and its two supported generations disagree about comments and
unterminated quotes; this one reads the same lexical rules and knows where a token ends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from distil_sql.errors import ScriptError

Kind = Literal["word", "quoted", "string", "number", "op"]

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|--[^\n\r]*)
    | (?P<block>/\*)
    | (?P<escape>[eE]'(?:[^'\\]|\\.|'')*(?P<escape_end>'?))
    | (?P<string>'(?:[^']|'')*(?P<string_end>'?))
    | (?P<quoted>"(?:[^"]|"")*(?P<quoted_end>"?))
    | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<number>(?:0[xX][0-9a-fA-F_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?))
    | (?P<op>:=|=>|->>|->|::|<=|>=|<>|!=|==|\|\||\*\*|//|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `text` as written, `source[start:end]`."""

    kind: Kind
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Whether this is one of the given unquoted words, in any case."""
        return self.kind == "word" and self.text.upper() in words

    @property
    def name(self) -> str:
        """The identifier meant: quotes removed."""
        return self.text[1:-1].replace('""', '"') if self.kind == "quoted" else self.text

    @property
    def value(self) -> str:
        """The text a string literal stands for ('…', E'…', $$…$$)."""
        if self.text.startswith("$"):
            tag = self.text.index("$", 1) + 1
            return self.text[tag:-tag]
        if self.text[0] in "eE":
            plain = self.text[2:-1].replace("''", "'")
            return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), plain, flags=re.DOTALL)
        return self.text[1:-1].replace("''", "'")

    @property
    def content_start(self) -> int:
        """Offset of the first character inside a string literal's quotes."""
        if self.text.startswith("$"):
            return self.start + self.text.index("$", 1) + 1
        return self.start + (2 if self.text[0] in "eE" else 1)


@dataclass(frozen=True, slots=True)
class Source:
    """A script's text and name; turns offsets into places.

    `added` is the span of the text that is not in the file: what was put there for DuckDB, within one line.
    """

    text: str
    file: str = "<script>"
    added: tuple[int, int] = (0, 0)

    def error(self, offset: int, message: str) -> ScriptError:
        """A ScriptError at a character offset (lines and columns count from 1)."""
        before = self._before(offset)
        column = len(before) - (before.rfind("\n") + 1) + 1
        return ScriptError(message, file=self.file, line=before.count("\n") + 1, column=column)

    def line(self, offset: int) -> int:
        """The line of a character offset, counted from 1."""
        return self._before(offset).count("\n") + 1

    def _before(self, offset: int) -> str:
        """The file's own text up to an offset."""
        start, end = self.added
        return self.text[: min(start, offset)] + self.text[end : max(end, offset)]

    @property
    def folder(self) -> Path | None:
        """Where relative paths begin: the folder of the file; None for a text that is in none (the working folder)."""
        return None if self.file.startswith("<") else Path(self.file).resolve().parent


def tokenize(source: Source) -> list[Token]:
    """All tokens but white space and comments; raises ScriptError for a quote or comment that never ends."""
    text, position, tokens = source.text, 0, list[Token]()
    while position < len(text):
        match = _TOKEN.match(text, position)
        assert match is not None  # the last branch takes any character
        kind, end = match.lastgroup, match.end()
        if kind == "space":
            pass
        elif kind == "block":
            end = _block_comment_end(source, position)
        elif kind == "dollar":
            close = text.find(match[0], end)
            if close < 0:
                raise source.error(position, f"this dollar quote is never closed: add {match[0]} where it ends")
            end = close + len(match[0])
            tokens.append(Token("string", text[position:end], position, end))
        else:
            for group, what in (("escape", "string"), ("string", "string"), ("quoted", "quoted name")):
                if match[group] is not None and not match[group + "_end"]:
                    raise source.error(position, f"this {what} is never closed: add the missing quote")
            token_kind: Kind = "op"
            if match["escape"] is not None or match["string"] is not None:
                token_kind = "string"
            elif match["quoted"] is not None:
                token_kind = "quoted"
            elif match["word"] is not None:
                token_kind = "word"
            elif match["number"] is not None:
                token_kind = "number"
            tokens.append(Token(token_kind, match[0], position, end))
        position = end
    return tokens


def _block_comment_end(source: Source, start: int) -> int:
    """Block comments nest, as in PostgreSQL."""
    depth, position = 1, start + 2
    while depth:
        match = re.compile(r"/\*|\*/").search(source.text, position)
        if match is None:
            raise source.error(start, "this comment is never closed: add */ where it ends")
        depth += 1 if match[0] == "/*" else -1
        position = match.end()
    return position


def matching(tokens: Sequence[Token], opening: int) -> int:
    """Index of the bracket that closes the one at `opening`, or len(tokens) if none does."""
    depth = 0
    for index in range(opening, len(tokens)):
        text = tokens[index].text if tokens[index].kind == "op" else ""
        if text in ("(", "[", "{"):
            depth += 1
        elif text in (")", "]", "}"):
            depth -= 1
            if depth == 0:
                return index
    return len(tokens)


def split_on_commas(tokens: Sequence[Token]) -> list[list[Token]]:
    """Token groups between the commas that stand outside any bracket; empty input gives no group."""
    groups: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind == "op":
            if token.text in ("(", "[", "{"):
                depth += 1
            elif token.text in (")", "]", "}"):
                depth -= 1
            elif token.text == "," and depth == 0:
                groups.append([])
                continue
        groups[-1].append(token)
    return groups if groups[-1] or len(groups) > 1 else []
