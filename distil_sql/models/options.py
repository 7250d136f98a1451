"""The options of CREATE MODEL, checked: `ModelSpec.read(name, options)` is what the other rooms use.

The order of precedence (call argument > flag > task > model > default) ends here: `sampling(task_options)`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from distil_sql.errors import OptionError
from distil_sql.models.base import Sampling
from distil_sql.models.presets import PRESETS
from distil_sql.models.prices import Price, known_price
from distil_sql.task import SAMPLING_OPTIONS, nearest, sampling_value

TYPES = ("openai", "llama_cpp", "pool")


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _count(value: object) -> bool:
    return _whole(value) and value != 0


def _price(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _biases(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) and _number(bias) for key, bias in value.items())


def _names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def _mapping(value: object) -> bool:
    return isinstance(value, dict)


STRUCTURED = ("json_schema", "json_object", "structured_outputs", "guided_json", "none")
"""How a server is told the shape of an answer: see `presets`."""

_Rule = tuple[tuple[str, ...], Callable[[object], bool], str]
_ANY = ("openai", "llama_cpp")
_RULES: dict[str, _Rule] = {
    "model": (("openai",), _text, "the model's name at the server"),
    "base_url": (("openai",), _text, "an address such as 'http://localhost:8000/v1'"),
    "api_key_env": (("openai",), _text, "the name of an environment variable"),
    "api_version": (("openai",), _text, "Azure's api-version"),
    "preset": (("openai",), lambda value: value in PRESETS, "one of " + ", ".join(PRESETS)),
    "structured": (
        ("openai",),
        lambda value: value in STRUCTURED,
        ", ".join(STRUCTURED[:-1]) + f" or {STRUCTURED[-1]}",
    ),
    "extra": (("openai",), _mapping, "a struct: {'repetition_penalty': 1.1}"),
    "dimensions": (("openai",), _count, "how many numbers a vector is to have"),
    "rpm": (("openai",), _positive, "requests a minute"),
    "tpm": (("openai",), _positive, "tokens a minute"),
    "timeout": (_ANY, _positive, "seconds"),
    "concurrency": (_ANY, _count, "a whole number of calls at once"),
    "price_in": (_ANY, _price, "USD per million input tokens"),
    "price_out": (_ANY, _price, "USD per million output tokens"),
    "price_cached": (_ANY, _price, "USD per million cached input tokens"),
    "prompt_format": (("llama_cpp",), _text, "the name of a prompt format"),
    "path": (("llama_cpp",), _text, "'tiny' or the path of a GGUF file"),
    "threads": (("llama_cpp",), _count, "a whole number of threads"),
    "gpu_layers": (("llama_cpp",), lambda value: isinstance(value, int), "a whole number of layers (-1: all)"),
    "context": (("llama_cpp",), _count, "tokens a sequence"),
    "flash_attention": (("llama_cpp",), _flag, "true or false"),
    "mmap": (("llama_cpp",), _flag, "true or false"),
    "kv_cache": (("llama_cpp",), _text, "f16, q8_0 or another type of cache"),
    "pooling": (("llama_cpp",), lambda value: value in ("mean", "cls", "last"), "mean, cls or last"),
    "repeat_penalty": (("llama_cpp",), _positive, "a number above 0 (1: none)"),
    "presence_penalty": (("llama_cpp",), _number, "a number (0: none)"),
    "frequency_penalty": (("llama_cpp",), _number, "a number (0: none)"),
    "logit_bias": (("llama_cpp",), _biases, "a struct of tokens and numbers: {'yes': 2, '1234': -100}"),
    "logprobs": (("llama_cpp",), _flag, "true or false"),
    "models": (("pool",), _names, "a list of model names: ['a', 'b']"),
}


PER_CALL = ("repeat_penalty", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs")
"""What of a llama_cpp model's options goes with each call: models that differ in these alone run as one."""


@dataclass(frozen=True)
class ModelSpec:
    """A row of `distil.models`, checked. `options` are in lower case and hold no key, only the name of its variable."""

    name: str
    type: str
    options: Mapping[str, object]
    version: int = 1

    @classmethod
    def read(cls, name: str, options: Mapping[str, object]) -> ModelSpec:
        """Check the options of CREATE MODEL; raises OptionError that names the option and the nearest known one."""
        given = dict(options)
        kind = str(given.pop("type", "")).lower()
        if kind not in TYPES:
            said = f"not {kind!r}{nearest(kind, TYPES)}" if kind else "and none is given"
            raise OptionError(f"TYPE is one of {', '.join(TYPES)}, {said}")
        allowed = [option for option, (types, _, _) in _RULES.items() if kind in types]
        if kind != "pool":
            allowed += SAMPLING_OPTIONS
        for option, value in given.items():
            if option in ("api_key", "key", "token"):
                raise OptionError(
                    f"keys never stand in a script, so {option!r} is no option: put the key in an environment variable "
                    "and say its name in api_key_env"
                )
            if option not in allowed:
                raise OptionError(f"unknown option {option!r} for TYPE {kind}{nearest(option, allowed)}")
            if option in SAMPLING_OPTIONS:
                given[option] = sampling_value(option, value)
            elif not _RULES[option][1](value):
                raise OptionError(f"option {option!r} takes {_RULES[option][2]}, not {value!r}")
        spec = cls(name, kind, given)
        spec._check_required()
        return spec

    def _check_required(self) -> None:
        missing = {"openai": "model", "llama_cpp": "path", "pool": "models"}[self.type]
        if missing not in self.options:
            raise OptionError(f"TYPE {self.type} needs the option {missing!r}: {_RULES[missing][2]}")
        if self.preset == "azure" and not self.base_url:
            raise OptionError("preset azure needs base_url or the environment variable AZURE_OPENAI_ENDPOINT")

    def text(self, option: str) -> str | None:
        """A string option, or None."""
        value = self.options.get(option)
        return value if isinstance(value, str) else None

    def number(self, option: str) -> float | None:
        """A numeric option, or None."""
        value = self.options.get(option)
        return float(value) if isinstance(value, int | float) else None

    def whole(self, option: str) -> int | None:
        """A whole-number option, or None."""
        value = self.options.get(option)
        return value if isinstance(value, int) else None

    @property
    def preset(self) -> str:
        return self.text("preset") or "openai"

    @cached_property
    def base_url(self) -> str:
        """Where the server is: the option, else the preset's variable, else the preset's address."""
        row = PRESETS[self.preset]
        from_env = os.environ.get(row.base_url_env) if row.base_url_env else None
        return (self.text("base_url") or from_env or row.base_url or "").rstrip("/")

    @property
    def api_key_env(self) -> str | None:
        return self.text("api_key_env") or PRESETS[self.preset].api_key_env

    @property
    def api_key(self) -> str | None:
        """The key, read from the environment each time; raises OptionError where one is needed and absent."""
        variable = self.api_key_env
        key = os.environ.get(variable) if variable else None
        required = bool(self.text("api_key_env")) or (
            PRESETS[self.preset].key_required and not ("base_url" in self.options and self.preset == "openai")
        )
        if not key and required:
            raise OptionError(f"model {self.name!r} needs the environment variable {variable}: set it to your API key")
        return key

    @property
    def structured(self) -> str:
        return self.text("structured") or PRESETS[self.preset].structured

    def sampling(self, task_options: Mapping[str, object] | None = None) -> Sampling:
        """What decides the answer: the task's options over the model's."""
        merged = {key: self.options.get(key) for key in SAMPLING_OPTIONS}
        for key, value in (task_options or {}).items():
            if key in SAMPLING_OPTIONS and value is not None:
                merged[key] = value
        stop = merged.pop("stop", None)
        stops = [stop] if isinstance(stop, str) else stop
        own = {key: value for key in PER_CALL if (value := self.options.get(key)) is not None}
        if isinstance(biases := own.get("logit_bias"), Mapping):
            own["logit_bias"] = tuple((str(token), float(bias)) for token, bias in biases.items())
        return Sampling(stop=tuple(stops) if isinstance(stops, list | tuple) else (), **merged, **own)  # type: ignore[arg-type]

    @cached_property
    def price(self) -> Price | None:
        """What it costs: the user's own prices, else the shipped table's for OpenAI's servers; None: not known."""
        given = [self.number(option) for option in ("price_in", "price_cached", "price_out")]
        if any(price is not None for price in given):
            price_in = given[0] or 0.0
            return Price(price_in, price_in if given[1] is None else given[1], given[2] or 0.0)
        if self.type == "openai" and self.preset in ("openai", "azure") and "base_url" not in self.options:
            return known_price(str(self.options["model"]))
        return None

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int) -> float | None:
        """USD for one call, or None where its price is not known."""
        if self.price is None:
            return None
        cached = min(cached_tokens, input_tokens)
        price = self.price
        return ((input_tokens - cached) * price.input + cached * price.cached + output_tokens * price.output) / 1e6
