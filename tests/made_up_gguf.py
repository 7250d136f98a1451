"""Writes a GGUF with made-up weights: a real file that llama.cpp loads, of any size, that answers nonsense.

write(path, width=64, layers=2)                    # half a megabyte
write(path, **SIZES["135M"], quantisation="q8_0")  # the shape of a small model people use
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

SIZES: Mapping[str, Mapping[str, int]] = {
    "1M": {"width": 128, "layers": 4, "heads": 4, "kv_heads": 2, "hidden": 384, "vocabulary": 1056},
    "10M": {"width": 256, "layers": 8, "heads": 4, "kv_heads": 2, "hidden": 768, "vocabulary": 4096},
    "135M": {"width": 576, "layers": 30, "heads": 9, "kv_heads": 3, "hidden": 1536, "vocabulary": 49152},
    "0.5B": {"width": 896, "layers": 24, "heads": 14, "kv_heads": 2, "hidden": 4864, "vocabulary": 151936},
}

CONTROLS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<bos>",
    "<eos>",
)
USER_DEFINED = ("<|user|>", "<|system|>", "<|assistant|>", "[INST]", "[/INST]")

_QUANTISATIONS = {
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}


def write(
    path: Path,
    *,
    width: int = 64,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    hidden: int = 128,
    vocabulary: int = 1056,
    context: int = 2048,
    quantisation: str = "q8_0",
    tokenizer: str = "llama",
    chat_template: str | None = CHATML,
    seed: int = 0,
    parts: int = 1,
    endless: bool = False,
) -> Path:
    """Write the file, or its parts, and return the (first) path; one seed gives the same bytes.

    `endless`: greedy answers are words alone, and do not end by themselves.
    """
    kind, file_type = _QUANTISATIONS[quantisation]
    pieces = _vocabulary(vocabulary) if tokenizer == "llama" else _byte_vocabulary()
    tensors = 2 + 9 * layers
    writer = gguf.GGUFWriter(str(path), "llama", split_max_tensors=-(-tensors // parts) if parts > 1 else 0)
    writer.add_name("made up")
    writer.add_vocab_size(len(pieces))
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_file_type(file_type)
    writer.add_tokenizer_model(tokenizer)
    writer.add_tokenizer_pre("default" if tokenizer == "llama" else "gpt-2")
    writer.add_token_list([text for text, _ in pieces])
    if tokenizer == "llama":
        writer.add_token_scores([-float(rank) for rank in range(len(pieces))])
    else:
        writer.add_token_merges([f"{text[:-1]} {text[-1]}" for text, _ in pieces if text in _MERGED])
    writer.add_token_types([token_type for _, token_type in pieces])
    ids = {text: i for i, (text, _) in enumerate(pieces)}
    writer.add_bos_token_id(ids["<s>"])
    writer.add_eos_token_id(ids["<|im_end|>"])
    writer.add_eot_token_id(ids["<|im_end|>"])
    writer.add_unk_token_id(ids["<unk>"])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    if chat_template is not None:
        writer.add_chat_template(chat_template)
    for name, weights in _weights(len(pieces), width, layers, kv_heads * width // heads, hidden, seed):
        if endless and name == "token_embd.weight":  # the scores are computed with them as well
            weights[[number for number, (_, kind) in enumerate(pieces) if kind != gguf.TokenType.NORMAL]] *= 0.01
        if weights.ndim == 1:
            writer.add_tensor(name, weights)
        elif kind == gguf.GGMLQuantizationType.F16:
            writer.add_tensor(name, weights.astype(np.float16))
        else:
            writer.add_tensor(name, gguf.quants.quantize(weights, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path if parts == 1 else path.with_name(f"{path.stem}-00001-of-{parts:05}.gguf")


def _vocabulary(size: int) -> Sequence[tuple[str, int]]:
    kinds = gguf.TokenType
    pieces = [("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL)]
    pieces += [(f"<0x{byte:02X}>", kinds.BYTE) for byte in range(256)]
    pieces += [(text, kinds.CONTROL) for text in CONTROLS]
    pieces += [(text, kinds.USER_DEFINED) for text in USER_DEFINED]
    letters = [chr(code) for code in range(33, 127)]
    syllables = [a + b for a in "bcdfghjklmnprstvwz" for b in "aeiou"]
    texts = ["▁", *letters, *syllables, *(f"▁{text}" for text in (*"abcdefghijklmnopqrstuvwxyz", *syllables))]
    texts += [f"{a}{b}" for a in syllables for b in syllables][: max(0, size - len(pieces) - len(texts))]
    pieces += [(text, kinds.NORMAL) for text in texts]
    pieces += [(f"zz{number}", kinds.UNUSED) for number in range(size - len(pieces))]
    return pieces


_MERGED = ("th", "the", "in", "an", "Ġa", "be", "ðŁ", "ðŁ¦", '":', '",', "Ã©", '{"')


def _byte_vocabulary() -> Sequence[tuple[str, int]]:
    """Pieces of bytes, as GPT-2's: every byte has a letter, and some letters merge, also across characters."""
    kinds = gguf.TokenType
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]
    pieces = [(text, kinds.NORMAL) for text in (*letters, *_MERGED)]
    pieces += [(text, kinds.CONTROL) for text in ("<unk>", "<s>", "</s>", *CONTROLS)]
    pieces += [(text, kinds.USER_DEFINED) for text in USER_DEFINED]
    return pieces + [(f"zz{number}", kinds.UNUSED) for number in range(-len(pieces) % 32)]


def _weights(vocabulary: int, width: int, layers: int, kv_width: int, hidden: int, seed: int) -> Any:
    random = np.random.default_rng(seed)

    def made_up(*shape: int) -> Any:
        return random.standard_normal(shape, dtype=np.float32) * np.float32(0.5 / np.sqrt(shape[-1]))

    ones = np.ones(width, np.float32)
    yield "token_embd.weight", made_up(vocabulary, width)
    yield "output_norm.weight", ones
    for layer in range(layers):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", ones
        yield block + "ffn_norm.weight", ones
        yield block + "attn_q.weight", made_up(width, width)
        yield block + "attn_k.weight", made_up(kv_width, width)
        yield block + "attn_v.weight", made_up(kv_width, width)
        yield block + "attn_output.weight", made_up(width, width)
        yield block + "ffn_gate.weight", made_up(hidden, width)
        yield block + "ffn_up.weight", made_up(hidden, width)
        yield block + "ffn_down.weight", made_up(width, hidden)
