"""Every error a person can meet, as one tree.

DistilError                   the root; `exit_code` is what the command line returns
├── ScriptError               something in the script; carries file, line and column (exit 2)
├── OptionError               an option or argument that cannot be (exit 2)
├── MissingExtra              a part of the product that was not installed (exit 2)
├── DatabaseError             the database cannot be opened, read or written (exit 1)
├── RunError                  a statement failed while running (exit 1)
├── ModelError                a model cannot be used at all: wrong key, unknown name, unreadable file (exit 1)
├── HubError                  the Hub refused an upload, or could not be reached (exit 1)
└── Interrupted               Ctrl-C or a termination signal (exit 130)

A failed *row* is not an error here: it is NULL with a reason in the ledger (`models.base.CallError` becomes data).
"""

from __future__ import annotations


class DistilError(Exception):
    """Root of all errors raised on purpose; the message is one sentence that names the thing and the remedy."""

    exit_code = 1


class OptionError(DistilError):
    """An option, name or argument that cannot be used."""

    exit_code = 2


class MissingExtra(DistilError):
    """A part of the product whose package is not installed."""

    exit_code = 2


class DatabaseError(DistilError):
    """The database cannot be opened, read or written."""


class RunError(DistilError):
    """A statement failed while running."""


class ModelError(DistilError):
    """A model that can answer nothing: a wrong key, an unknown name, an unreadable file."""


class HubError(DistilError):
    """The Hub refused an upload, or could not be reached."""


class Interrupted(DistilError):
    """The user stopped the run."""

    exit_code = 130


class ScriptError(DistilError):
    """Something in the script, with its place: `file:line:column: message`."""

    exit_code = 2

    def __init__(self, message: str, *, file: str = "<script>", line: int = 1, column: int = 1) -> None:
        super().__init__(f"{file}:{line}:{column}: {message}")
        self.message, self.file, self.line, self.column = message, file, line, column


class DistilWarning(UserWarning):
    """Something that was left out, and why; everything else goes on."""
