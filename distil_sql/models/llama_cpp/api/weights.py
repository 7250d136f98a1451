"""`Weights`: a loaded GGUF and its vocabulary; `Grammar`: how far an answer has come; `candidates` for both."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from distil_sql.models.llama_cpp.api.context import Context
from distil_sql.models.llama_cpp.api.embedder import Embedder
from distil_sql.models.llama_cpp.api.library import BATCH, GPU_BATCH, HAS_AMX, LlamaError, Logits
from distil_sql.models.llama_cpp.api.library import LIBRARY as _L

Candidates = npt.NDArray[np.void]
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Weights:
    """A loaded GGUF and its vocabulary."""

    def __init__(
        self, path: str, *, gpu_layers: int = 0, mmap: bool = True, go_on: Callable[[float], bool] = lambda _share: True
    ) -> None:
        """`go_on` is told how much has been read, 0 to 1. Raises `LlamaError` where it says no, or llama.cpp does."""
        params = _L.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.use_extra_bufts = not HAS_AMX
        params.load_mode = _L.LLAMA_LOAD_MODE_MMAP if mmap else _L.LLAMA_LOAD_MODE_NONE
        asked = _L.llama_progress_callback(lambda share, _data: go_on(share))  # kept while it may be called
        params.progress_callback = asked
        self._model: Any = _L.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise LlamaError(
                "llama.cpp cannot load it: it is damaged, or of an architecture this version does not know"
            )
        self.batch = GPU_BATCH if gpu_layers else BATCH
        """Most tokens in one decode."""
        self._vocab: Any = _L.llama_model_get_vocab(self._model)
        self.n_vocab: int = _L.llama_vocab_n_tokens(self._vocab)
        self.n_ctx_train: int = _L.llama_model_n_ctx_train(self._model)
        self.add_bos: bool = _L.llama_vocab_get_add_bos(self._vocab)
        self.bos: int = _L.llama_vocab_bos(self._vocab)
        self.eos: int = _L.llama_vocab_eos(self._vocab)
        decodes = _L.llama_model_has_decoder(self._model) and not _L.llama_model_has_encoder(self._model)
        causal = self.metadata(f"{self.metadata('general.architecture')}.attention.causal") != "false"  # BERT's is not
        self.has_decoder: bool = decodes and causal
        self.trimmable: bool = not (_L.llama_model_is_recurrent(self._model) or _L.llama_model_is_hybrid(self._model))
        # 0 is f32, 1 is f16, 32 is bf16: what llama.cpp's matrix products compute differently for one row and for more
        self.quantised: bool = self.metadata("general.file_type") not in ("0", "1", "32", None)
        self.end_tokens = frozenset(t for t in range(self.n_vocab) if _L.llama_vocab_is_eog(self._vocab, t))
        self._pieces: dict[int, bytes] = {}
        space = self.metadata("tokenizer.ggml.add_space_prefix") != "false"
        self.leading_space: bool = space and self.metadata("tokenizer.ggml.model") == "llama"

    def close(self) -> None:
        if self._model:
            _L.llama_model_free(self._model)
            self._model = self._vocab = None

    def metadata(self, key: str) -> str | None:
        """A value of the file's metadata as text."""
        size = _L.llama_model_meta_val_str(self._model, key.encode(), None, 0)
        if size < 0:
            return None
        buffer = ctypes.create_string_buffer(size + 1)
        _L.llama_model_meta_val_str(self._model, key.encode(), buffer, size + 1)
        return buffer.value.decode("utf-8", "replace")

    def head_sizes(self) -> tuple[int, int]:
        """Numbers that a head keeps of one token: of its key and of its value."""
        arch = self.metadata("general.architecture") or ""
        heads = max(1, _L.llama_model_n_head(self._model))
        width = _L.llama_model_n_embd(self._model) // heads
        key = int(self.metadata(f"{arch}.attention.key_length") or width)
        return key, int(self.metadata(f"{arch}.attention.value_length") or width)

    def cell_bytes(self, kind: tuple[int, int] = (1, 2)) -> int:
        """Bytes of cache that one token of one sequence takes, kept in blocks of so many numbers and bytes (f16)."""
        block, size = kind
        kv_heads = max(1, _L.llama_model_n_head_kv(self._model))
        return int(_L.llama_model_n_layer(self._model) * kv_heads * sum(self.head_sizes()) * size // block)

    def score_bytes(self, cells: int, tokens: int | None = None) -> int:
        """Bytes of attention scores that so many tokens (None: a full decode) over so many cells take without flash
        attention."""
        return int(_L.llama_model_n_head(self._model) * cells * (tokens or self.batch) * 4)

    def control_texts(self) -> dict[str, tuple[int, bool]]:
        """How control tokens are spelled: text -> (token, whether it takes the white space after it)."""
        kinds = _L.LLAMA_TOKEN_ATTR_CONTROL | _L.LLAMA_TOKEN_ATTR_UNKNOWN
        return {
            text: (token, bool(attributes & _L.LLAMA_TOKEN_ATTR_RSTRIP))
            for token, attributes in self._attributes()
            if attributes & kinds and (text := self.text(token))
        }

    def fixed_texts(self) -> list[str]:
        """Texts that plain text is cut at ("user-defined" tokens) though they may be control tokens in all but name."""
        kind = _L.LLAMA_TOKEN_ATTR_USER_DEFINED
        return [self.text(token) for token, attributes in self._attributes() if attributes & kind]

    def _attributes(self) -> Iterator[tuple[int, int]]:
        return ((token, _L.llama_vocab_get_attr(self._vocab, token)) for token in range(self.n_vocab))

    def text(self, token: int) -> str:
        """How the vocabulary spells a token (`<s>`); "" for no token."""
        if token < 0:
            return ""
        return str(_L.llama_vocab_get_text(self._vocab, token).decode("utf-8", "replace"))

    def tokenize(self, text: str, *, whole: bool = False) -> list[int]:
        """Plain text to tokens: no control token comes of it; `whole` adds those around a text on its own."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 16
        while True:
            buffer = (_L.llama_token * room)()
            count = _L.llama_tokenize(self._vocab, data, len(data), buffer, room, whole, False)
            if count >= 0:
                return buffer[:count]  # type: ignore[no-any-return]
            if -count <= room:
                raise LlamaError("a text cannot be tokenized")
            room = -count

    def piece(self, token: int) -> bytes:
        """The bytes a token adds to the answer; control tokens add none."""
        piece = self._pieces.get(token)
        if piece is None:
            buffer = ctypes.create_string_buffer(64)
            size = _L.llama_token_to_piece(self._vocab, token, buffer, 64, 0, False)
            if size < 0:
                buffer = ctypes.create_string_buffer(-size)
                size = _L.llama_token_to_piece(self._vocab, token, buffer, -size, 0, False)
            piece = self._pieces[token] = buffer.raw[: max(size, 0)]
        return piece

    def grammar(self, gbnf: str) -> Grammar:
        """A compiled grammar whose start is `root`."""
        # an empty grammar is, to llama.cpp, none
        sampler = _L.llama_sampler_init_grammar(self._vocab, gbnf.encode(), b"root") if gbnf.strip() else None
        if not sampler:
            raise LlamaError("llama.cpp refuses the grammar made from the schema")
        return Grammar(sampler)

    def context(self, *, sequences: int, cells: int, flash_attention: bool, kv_cache: int = 1) -> Context:
        """Room for `sequences` of `cells` tokens each; `kv_cache` is ggml's number of the cache's type (f16)."""
        outputs = 1 if self.quantised else 2
        return Context(self._model, self.n_vocab, self.batch, sequences, cells, outputs, flash_attention, kv_cache)

    def embedder(self, *, cells: int, pooling: str | None) -> Embedder:
        """For texts of together up to `cells` tokens; pooling None is the model's own, else mean."""
        return Embedder(self._model, cells, pooling)


class Grammar:
    """A grammar part-way through an answer. `accept` only what it allows: anything else aborts the process."""

    def __init__(self, sampler: Any) -> None:
        self._sampler = sampler

    def clone(self) -> Grammar:
        sampler = _L.llama_sampler_clone(self._sampler)
        if not sampler:
            raise LlamaError("no memory for another grammar")
        return Grammar(sampler)

    def mask(self, candidates: Candidates) -> None:
        """Set the logit of every candidate that may not come next to -inf."""
        pointer = candidates.ctypes.data_as(ctypes.POINTER(_L.llama_token_data))
        array = _L.llama_token_data_array(pointer, len(candidates), -1, False)
        _L.llama_sampler_apply(self._sampler, ctypes.byref(array))

    def allows(self, token: int) -> bool:
        one = candidates(np.array([token], np.int32), np.zeros(1, np.float32))
        self.mask(one)
        return bool(one["logit"][0] == 0.0)

    def accept(self, token: int) -> None:
        _L.llama_sampler_accept(self._sampler, token)

    def close(self) -> None:
        if self._sampler:
            _L.llama_sampler_free(self._sampler)
            self._sampler = None


def candidates(ids: npt.NDArray[np.int32], logits: Logits) -> Candidates:
    """Tokens and their logits in the layout of llama.cpp's samplers."""
    array = np.zeros(len(ids), _CANDIDATE)
    array["id"], array["logit"] = ids, logits
    return array
