"""Writes tiny as a GGUF file of architecture ``llama`` with q8_0 weights; needs ``distil-sql[train]``.

write(Path("tiny.gguf"), vocab, weights, Shape())
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .tokenizer import BOS, END, EOS, FIRST_PIECE, START, UNKNOWN, Vocab

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Shape:
    """Sizes of the network. Rows of every matrix must be a multiple of 32, the block of q8_0."""

    width: int = 256
    layers: int = 5
    heads: int = 8
    kv_heads: int = 4
    hidden: int = 512
    context: int = 2048
    rope_base: float = 10000.0
    epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        return self.width // self.heads


def write(file: Path, vocab: Vocab, weights: dict[str, npt.NDArray[np.float32]], shape: Shape) -> None:
    """Write the weights, named as llama.cpp names them, with the vocabulary and the chat template."""
    import gguf
    import numpy

    w = gguf.GGUFWriter(file, "llama")
    w.add_name("distil-sql-tiny")
    w.add_type("model")
    w.add_license("apache-2.0")
    w.add_description("Answers and grades short templated instructions; made for distil-sql's examples and tests.")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_vocab_size(len(vocab))
    w.add_context_length(shape.context)
    w.add_embedding_length(shape.width)
    w.add_block_count(shape.layers)
    w.add_feed_forward_length(shape.hidden)
    w.add_head_count(shape.heads)
    w.add_head_count_kv(shape.kv_heads)
    w.add_layer_norm_rms_eps(shape.epsilon)
    w.add_rope_dimension_count(shape.head_width)
    w.add_rope_freq_base(shape.rope_base)

    kinds = {
        UNKNOWN: gguf.TokenType.UNKNOWN,
        BOS: gguf.TokenType.CONTROL,
        EOS: gguf.TokenType.CONTROL,
        START: gguf.TokenType.CONTROL,
        END: gguf.TokenType.CONTROL,
    }
    types, scores = [], []
    for i, token in enumerate(vocab.tokens):
        byte, unused = 3 <= i < 259, i >= len(vocab) - vocab.unused
        types.append(
            gguf.TokenType.BYTE
            if byte
            else gguf.TokenType.UNUSED
            if unused
            else kinds.get(token, gguf.TokenType.NORMAL)
        )
        scores.append(-float(vocab.rank[token]) if token in vocab.rank and not byte else -1e4 if unused else 0.0)
    w.add_tokenizer_model("llama")
    w.add_tokenizer_pre("default")
    w.add_token_list(vocab.tokens)
    w.add_token_scores(scores)
    w.add_token_types(types)
    w.add_unk_token_id(0)
    w.add_bos_token_id(1)
    w.add_eos_token_id(vocab.end)
    w.add_eot_token_id(vocab.end)
    w.add_pad_token_id(2)
    w.add_add_bos_token(False)
    w.add_add_eos_token(False)
    w.add_add_space_prefix(False)
    w.add_chat_template(CHATML)

    for name, a in weights.items():
        a = numpy.ascontiguousarray(a, dtype=numpy.float32)
        if a.ndim == 1:
            w.add_tensor(name, a)  # norms stay f32
        else:
            w.add_tensor(
                name, gguf.quants.quantize(a, gguf.GGMLQuantizationType.Q8_0), raw_dtype=gguf.GGMLQuantizationType.Q8_0
            )
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def read(file: Path) -> tuple[Vocab, dict[str, npt.NDArray[np.float32]]]:
    """The vocabulary of a file that ``write`` wrote, and its weights unpacked to float32."""
    import gguf
    import numpy

    reader = gguf.GGUFReader(file)
    tokens: list[str] = reader.fields["tokenizer.ggml.tokens"].contents()
    pieces = [t for t in tokens[FIRST_PIECE:] if not t.startswith("<unused")]
    weights = {
        t.name: numpy.array(gguf.quants.dequantize(t.data, t.tensor_type), dtype=numpy.float32) for t in reader.tensors
    }
    return Vocab(pieces), weights
