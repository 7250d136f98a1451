"""The plugin's options in a dbt profile, checked: `Config.read(given)` raises OptionError that names the nearest."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from distil_sql.errors import OptionError
from distil_sql.task import nearest

_WHERE = "plugin distil_sql.dbt in profiles.yml"


@dataclass(frozen=True)
class Config:
    """What a profile says.

    `files`: paths or patterns of the `.sql` files of models and tasks, seen from the project's folder.
    `generator`, `labeller`: models in place of those called so. `on_error`, `max_error_ratio`: when failed rows stop a
    model. `max_cost` (USD), `max_tokens_total`, `max_calls`: what one invocation of dbt may spend. `concurrency`,
    `rpm`, `tpm`, `timeout`: in place of what the files' models say. `max_model_memory`: bytes that embedded models may
    take together. `docs`: the `.md` file of doc blocks that is kept up to date with the tasks of the files.
    """

    files: tuple[str, ...] = ()
    generator: str | None = None
    labeller: str | None = None
    on_error: str = "null"
    max_error_ratio: float = 0.5
    max_cost: float | None = None
    max_tokens_total: int | None = None
    max_calls: int | None = None
    concurrency: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    timeout: float | None = None
    max_model_memory: int | None = None
    docs: str | None = None

    @classmethod
    def read(cls, given: Mapping[str, Any], settings: Collection[str] = ()) -> Config:
        """Check what the profile says. dbt-duckdb mixes DuckDB's own `settings` into it: those names are left out."""
        known = [field.name for field in fields(cls)]
        read: dict[str, Any] = {}
        for option, value in given.items():
            if option not in known:
                if option in settings:
                    continue
                hint = nearest(option, known) or f": there are {', '.join(known)}"
                raise OptionError(f"{_WHERE} has an unknown option {option!r}{hint}")
            if value is None:
                continue
            check, what = _RULES[option]
            if not check(value):
                raise OptionError(f"{_WHERE}: {option} takes {what}, not {value!r}")
            read[option] = value
        if "files" in read:
            files = read["files"]
            read["files"] = (files,) if isinstance(files, str) else tuple(files)
        return cls(**read)

    @property
    def overrides(self) -> dict[str, str]:
        """The models to use in place of `generator` and `labeller`, by kind of task."""
        named = {"generator": self.generator, "labeller": self.labeller}
        return {kind: name for kind, name in named.items() if name}

    @property
    def limits(self) -> dict[str, float]:
        """The limits given here, by the option of a model."""
        named = {"concurrency": self.concurrency, "rpm": self.rpm, "tpm": self.tpm, "timeout": self.timeout}
        return {option: value for option, value in named.items() if value is not None}


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _texts(value: object) -> bool:
    return _text(value) or (isinstance(value, list) and all(_text(item) for item in value))


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _amount(value: object) -> bool:
    return _number(value) and value >= 0  # type: ignore[operator]


def _positive(value: object) -> bool:
    return _number(value) and value > 0  # type: ignore[operator]


def _whole(value: object) -> bool:
    return _amount(value) and isinstance(value, int)


def _count(value: object) -> bool:
    return _positive(value) and isinstance(value, int)


_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "files": (_texts, "a path or a list of paths of .sql files"),
    "generator": (_text, "the name of a model"),
    "labeller": (_text, "the name of a model"),
    "on_error": (lambda value: value in ("null", "fail"), "'null' or 'fail'"),
    "max_error_ratio": (lambda value: _amount(value) and value <= 1, "a number from 0 to 1"),  # type: ignore[operator]
    "max_cost": (_amount, "an amount of USD"),
    "max_tokens_total": (_whole, "a whole number of tokens"),
    "max_calls": (_whole, "a whole number of calls"),
    "concurrency": (_count, "a whole number of calls at once"),
    "rpm": (_positive, "requests a minute"),
    "tpm": (_positive, "tokens a minute"),
    "timeout": (_positive, "seconds"),
    "max_model_memory": (_count, "a whole number of bytes"),
    "docs": (lambda value: _text(value) and str(value).endswith(".md"), "the path of an .md file"),
}
