"""A model in memory: requests become rows of its batch, texts become vectors. Belongs to one thread."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from distil_sql.errors import DistilError
from distil_sql.models.base import CallError, Completion, Request, Sampling
from distil_sql.models.llama_cpp.api import LlamaError, Weights
from distil_sql.models.llama_cpp.batch import Batch
from distil_sql.models.llama_cpp.chat import Chat
from distil_sql.models.llama_cpp.constraint import Form, Spelling
from distil_sql.models.llama_cpp.grammar import GrammarError, gbnf
from distil_sql.models.llama_cpp.header import BLOCKS, Value
from distil_sql.models.llama_cpp.labels import Labels, Reading, closed_set
from distil_sql.models.llama_cpp.machine import processors
from distil_sql.models.llama_cpp.options import KV_CACHES, LlamaOptions, check_header, is_template
from distil_sql.models.llama_cpp.room import Allowance
from distil_sql.models.llama_cpp.rows import Row
from distil_sql.models.llama_cpp.sampling import MAX_TOKENS, Sampler
from distil_sql.models.llama_cpp.texts import Texts
from distil_sql.prompt import formats

_FORMS = 256
"""Schemas whose grammars are kept: a task may have one for every row."""

Done = Callable[[Completion | CallError], None]


class Loaded:
    """Weights with everything that is made of them; `submit` requests, and `batch.step()` while `batch.busy`."""

    def __init__(
        self, options: LlamaOptions, weights: Weights, head: Mapping[str, Value], allowance: Allowance
    ) -> None:
        self._options, self.weights, self._head = options, weights, head
        most = options.threads or processors()
        self.batch = Batch(weights, options, most, allowance)
        self._texts = Texts(weights, options, self.batch.limit, most, allowance)
        self._forms: dict[str, Form] = {}
        self._labels: dict[str, Labels | None] = {}

    @property
    def context_bytes(self) -> int:
        """What of the memory is not weights."""
        return self.batch.context_bytes + self._texts.context_bytes

    @cached_property
    def _chat(self) -> Chat:
        if not self.weights.has_decoder:
            raise CallError(
                "invalid_request", f"the model file {self._options.path} is not of a chat model", fatal=True
            )
        try:
            check_header(self._options.path, self._head, self._options)
        except DistilError as error:
            raise CallError("invalid_request", str(error), fatal=True) from error
        kind, sizes = self._options.kv_cache, self.weights.head_sizes()
        block, _ = BLOCKS[KV_CACHES[kind]]
        if any(size % block for size in sizes):
            said = f"kv_cache {kind} keeps {block} numbers together, and a head of the model"
            said = f"{said} {self._options.path} has {min(sizes)}: leave kv_cache out"
            raise CallError("invalid_request", said, fatal=True)
        return Chat(self.weights, _template(self._options, str(self._head.get("tokenizer.chat_template"))))

    @cached_property
    def _spelling(self) -> Spelling:
        return Spelling(self.weights)

    def submit(self, request: Request, done: Done) -> Row | None:
        """Make a row of a request; one that cannot be is answered at once."""
        try:
            row = self._row(request, done)
            self.batch.submit(row)
            return row
        except CallError as error:
            done(error)
        except (LlamaError, GrammarError, UnicodeError) as error:
            done(CallError("invalid_request", f"the model {self._options.path}: {error}"))
        return None

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector of length 1 for each text; raises `CallError`."""
        return self._texts.embed(texts)

    def abort(self) -> None:
        """Stop what runs, within milliseconds; callable from any thread."""
        self.batch.abort()
        self._texts.abort()

    def close(self, failure: CallError | None = None) -> None:
        """Free all but the weights, which others may use; rows still here end with `failure`."""
        self.batch.close(failure)
        for form in self._forms.values():
            form.close()
        self._texts.close()

    def _row(self, request: Request, done: Done) -> Row:
        sampling = request.sampling
        limit = MAX_TOKENS if sampling.max_tokens is None else sampling.max_tokens
        if limit < 1:
            raise CallError("invalid_request", f"max_tokens {limit} cannot be: use 1 or more")
        tokens = self._chat.tokens(request.messages)
        if not tokens:
            raise CallError("invalid_request", "the prompt is empty")
        labels = None if request.schema is None or sampling.stop else self._closed(request.schema)
        if labels is not None and len(tokens) + labels.longest > self.batch.limit:
            labels = None  # the batch says what is too long
        return Row(
            tokens=tokens,
            max_tokens=labels.longest if labels else limit,  # a label is not written out, and so never cut
            sampler=Sampler(sampling, request.sample, tokens, self._bias(sampling)),
            done=lambda row: done(row.error or self._completion(row)),
            grammar=None if request.schema is None or labels else self._form(request.schema).begin(),
            reading=Reading(labels) if labels else None,
            stop=tuple(text.encode() for text in sampling.stop if text),
            logprobs=[] if sampling.logprobs else None,
        )

    def _form(self, schema: Mapping[str, Any]) -> Form:
        key = json.dumps(schema)
        if (form := self._forms.pop(key, None)) is None:
            form = Form(self.weights, self._spelling, gbnf(schema))
            if len(self._forms) >= _FORMS:  # answers under way have their own copies of a grammar
                self._forms.pop(next(iter(self._forms))).close()
        self._forms[key] = form  # the latest used is the last
        return form

    def _closed(self, schema: Mapping[str, Any]) -> Labels | None:
        """The labels of a closed set; None where the schema is of another kind, or they cannot be told apart."""
        if not self.weights.trimmable:
            return None  # nothing can be read twice
        key = json.dumps(schema)
        if key not in self._labels:
            if len(self._labels) >= _FORMS:
                self._labels.clear()
            gbnf(schema)  # which refuses what would not be kept
            found = closed_set(schema)
            labels = Labels(self._spelling.tokens, *found) if found else None
            self._labels[key] = labels if labels and labels.usable else None
        return self._labels[key]

    def _bias(self, sampling: Sampling) -> dict[int, float]:
        """logit_bias by token."""
        found: dict[int, float] = {}
        for text, bias in sampling.logit_bias:
            tokens = [int(text)] if text.isdecimal() else self.weights.tokenize(text)
            if len(tokens) != 1 or not 0 <= tokens[0] < self.weights.n_vocab:
                said = f"is {len(tokens)} tokens" if len(tokens) != 1 else "is none of its tokens"
                raise CallError(
                    "invalid_request", f"logit_bias {text!r} {said} of the model {self._options.path}: name one token"
                )
            found[tokens[0]] = bias
        return found

    def _completion(self, row: Row) -> Completion:
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(bytes(row.answer))  # not a character's half
        if self.weights.leading_space and row.grammar is None and row.reading is None:
            text = text.removeprefix(" ")
        return Completion(
            text=text,
            finish_reason=row.finish,
            input_tokens=row.prompt,
            output_tokens=row.generated,
            cached_tokens=min(row.cached, row.prompt),
            probabilities=row.reading.probabilities() if row.reading else None,
            logprobs=None
            if row.logprobs is None
            else [(self.weights.piece(token).decode("utf-8", "replace"), score) for token, score in row.logprobs],
        )


def _template(options: LlamaOptions, own: str) -> str:
    if options.prompt_format is None:
        return own
    return options.prompt_format if is_template(options.prompt_format) else formats.template(options.prompt_format)
