"""The line editor: `Editor(shell.complete, shell.accepts, …).ask("distil> ")` gives what was typed, whole statements.

Enter ends the input where it is whole and goes on in the next line where it is not; Tab completes; what was typed is
remembered in a file that only its owner can read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import completion_is_selected, is_done
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.styles import Style

from distil_sql.shell.completion import KEYWORDS, Suggestion
from distil_sql.shell.partial import partial

_SECRET = re.compile(
    r"(?<![a-z])(secret|password|passwd|token|credentials?|access_?key|api_?key(?!_env))(?![a-z])|\bsk-[\w-]{8}|://[^/\s@']*:[^/\s@']*@",
    re.IGNORECASE,
)
_STYLE = Style.from_dict(
    {
        "keyword": "bold",
        "string": "ansigreen",
        "number": "ansimagenta",
        "comment": "ansibrightblack",
        "task": "ansicyan bold",
    }
)


class Editor:
    """Asks for input on the terminal.

    `complete` takes the text before and after the cursor, `accepts` says whether a text is whole, `tasks` gives the
    function names to mark, and `hint` is called when Ctrl-C was pressed with nothing typed.
    """

    def __init__(
        self,
        complete: Callable[[str, str], list[Suggestion]],
        accepts: Callable[[str], bool],
        tasks: Callable[[], Container[str]],
        hint: Callable[[], None],
    ) -> None:
        self._hint = hint
        self._session: PromptSession[str] = PromptSession(
            multiline=True,
            completer=_Suggestions(complete),
            complete_while_typing=False,
            enable_history_search=True,
            history=_history(),
            key_bindings=_keys(accepts),
            lexer=None if os.environ.get("NO_COLOR") else _Colours(tasks),
            style=_STYLE,
            include_default_pygments_style=False,
            prompt_continuation=lambda width, line, wrapped: " " * max(0, width - 4) + "..> ",
        )

    def ask(self, prompt: str) -> str:
        """What the user types; nothing where Ctrl-C took it back. Raises EOFError for Ctrl-D."""
        try:
            return self._session.prompt(prompt)
        except KeyboardInterrupt:
            if not self._session.default_buffer.text.strip():
                self._hint()
            return ""


def history_file() -> Path:
    """Where input is remembered: in the user's folder for state."""
    if os.name == "nt":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return folder / "distil-sql" / "history"


class _Discreet(FileHistory):
    """Remembers in its file what does not look like a secret, and did not begin with a blank."""

    def store_string(self, string: str) -> None:
        if not string.startswith(" ") and not _SECRET.search(string):
            with suppress(OSError):  # a full disk costs the memory of a line
                super().store_string(string)


def _history() -> History:
    """The file, made so that nobody else can read it; memory alone where there can be none."""
    path = history_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600))
        path.chmod(0o600)
    except (OSError, RuntimeError):
        return InMemoryHistory()
    return _Discreet(str(path))


def _keys(accepts: Callable[[str], bool]) -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if accepts(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=True)

    @keys.add("enter", filter=completion_is_selected & ~is_done)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None  # the choice stands; the next Enter is about the whole

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.newline()

    return keys


class _Suggestions(Completer):
    """The shell's suggestions as the editor shows them."""

    def __init__(self, complete: Callable[[str, str], list[Suggestion]]) -> None:
        self._complete = complete

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        for found in self._complete(document.text_before_cursor, document.text_after_cursor):
            yield Completion(found.text, start_position=-found.length, display_meta=found.about)


class _Colours(Lexer):
    """Keywords, tasks, texts, numbers and comments in colours."""

    def __init__(self, tasks: Callable[[], Container[str]]) -> None:
        self._tasks = tasks

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        lines: list[StyleAndTextTuples] = [[]]
        for style, text in self._pieces(document.text):
            for number, part in enumerate(text.split("\n")):
                if number:
                    lines.append([])
                lines[-1].append((style, part))
        return lambda number: lines[number] if number < len(lines) else []

    def _pieces(self, text: str) -> Iterable[tuple[str, str]]:
        if text.startswith("."):
            yield "", text
            return
        found, tasks, at = partial(text), self._tasks(), 0
        for token in found.tokens:
            yield _between(text[at : token.start]), text[at : token.start]
            style = {"string": "class:string", "number": "class:number"}.get(token.kind, "")
            if token.kind == "word" and token.text.lower() in tasks:
                style = "class:task"
            elif token.kind == "word" and token.text.upper() in _WORDS:
                style = "class:keyword"
            yield style, text[token.start : token.end]
            at = token.end
        rest = text[at:]
        yield "class:string" if rest.lstrip()[:1] in ("'", "$") else _between(rest), rest


_WORDS = frozenset(KEYWORDS)


def _between(text: str) -> str:
    """The style of what stands between tokens: white space and comments."""
    return "class:comment" if text.strip() else ""
