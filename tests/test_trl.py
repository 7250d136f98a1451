"""TRL's checks and trainers take the training sets as they are: a step of each, on a model of a few thousand weights.

Needs trl, datasets, transformers and torch, which the test extra does not bring: pip install trl torch
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.macros import graded, with_macros
from tests.test_training_sets import CALLS

pytest.importorskip("trl")
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = {chr(code): index + 4 for index, code in enumerate(range(32, 127))}
    own = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2, "<pad>": 3, **letters}, unk_token="<unk>"))
    own.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made = PreTrainedTokenizerFast(
        tokenizer_object=own, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    made.chat_template = (
        "{% for m in messages %}{{ '<' + m.role + '>' + m.content + '</s>' }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    return made


def _dataset(name: str) -> Any:
    import datasets

    con = with_macros("training_sets")
    graded(con, 4)
    return datasets.Dataset(con.sql(f"FROM {CALLS[name]}").to_arrow_table())


@pytest.mark.parametrize("name", CALLS)
def test_trl_knows_which_are_conversations_and_applies_the_template(name: str, tokenizer: Any) -> None:
    from trl.data_utils import apply_chat_template, is_conversational

    example = _dataset(name)[0]
    assert is_conversational(example) == (name in ("sft", "dpo_chat", "orpo", "reward"))
    if is_conversational(example):
        applied = apply_chat_template(example, tokenizer)
        assert all(isinstance(applied[key], str) for key in applied if key in ("text", "prompt", "chosen", "rejected"))


@pytest.mark.parametrize("name", CALLS)
def test_a_trainer_takes_a_step(name: str, tokenizer: Any, tmp_path: Path) -> None:
    import transformers
    import trl

    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        pad_token_id=3, bos_token_id=1, eos_token_id=2, max_position_embeddings=256, num_labels=1,
    )  # fmt: skip
    causal, reward = transformers.LlamaForCausalLM, transformers.LlamaForSequenceClassification
    trainer, arguments, network = {
        "sft": (trl.SFTTrainer, trl.SFTConfig, causal),
        "prompt_completion": (trl.SFTTrainer, trl.SFTConfig, causal),
        "dpo": (trl.DPOTrainer, trl.DPOConfig, causal),
        "dpo_chat": (trl.DPOTrainer, trl.DPOConfig, causal),
        "orpo": _experimental("orpo", "ORPO", causal),
        "reward": (trl.RewardTrainer, trl.RewardConfig, reward),
        "kto": (trl.KTOTrainer, trl.KTOConfig, causal)
        if hasattr(trl, "KTOTrainer")
        else _experimental("kto", "KTO", causal),
    }[name]
    beside = {"ref_model": network(config)} if name in ("dpo", "dpo_chat", "kto") else {}
    given = arguments(
        output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=2, report_to=[], use_cpu=True, bf16=False,
        save_strategy="no", disable_tqdm=True, gradient_checkpointing=False,
    )  # fmt: skip
    ended = trainer(
        model=network(config), args=given, train_dataset=_dataset(name), processing_class=tokenizer, **beside
    ).train()
    assert ended.global_step == 1


def _experimental(module: str, name: str, network: Any) -> tuple[Any, Any, Any]:
    found = pytest.importorskip(f"trl.experimental.{module}")
    return getattr(found, f"{name}Trainer"), getattr(found, f"{name}Config"), network
