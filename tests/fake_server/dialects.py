"""Where servers of OpenAI's protocol differ from it: what vLLM and SGLang add, leave null, and say of errors.

Sources: the response classes of vLLM (`vllm/entrypoints/openai`) and SGLang (`sglang/srt/entrypoints/openai`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

DIALECTS = ("openai", "vllm", "vllm_0.10", "sglang")
"""vLLM 0.10 is of the time when thoughts were called `reasoning_content` and errors lay at the top."""

END_OF_TURN = 151645
"""The token that ended the turn, which vLLM and SGLang name by its number."""


@dataclass(frozen=True, slots=True)
class Said:
    """One choice: what was said (None: nothing yet), thought, and why it ended."""

    text: str | None
    refusal: str | None
    thought: str
    finish: str


def choice(dialect: str, index: int, said: Said) -> dict[str, Any]:
    """One of `choices`."""
    message: dict[str, Any] = {"role": "assistant", "content": said.text}
    ended = END_OF_TURN if said.finish == "stop" else None
    found: dict[str, Any] = {"index": index, "message": message, "logprobs": None, "finish_reason": said.finish}
    if dialect == "sglang":
        message.update(reasoning_content=said.thought or None, tool_calls=None)
        return {**found, "matched_stop": ended}
    message["refusal"] = said.refusal
    if dialect == "openai":
        return found
    nothing = {"annotations": None, "audio": None, "function_call": None, "tool_calls": []}
    name = "reasoning" if dialect == "vllm" else "reasoning_content"
    message.update({**nothing, name: said.thought or None})
    return {**found, "stop_reason": ended, "token_ids": None}


def usage(dialect: str, asked: int, written: int, thought: int, cached: int | None) -> dict[str, Any]:
    """Token counts; `cached` of None: the server does not report its cache."""
    found: dict[str, Any] = {
        "prompt_tokens": asked,
        "total_tokens": asked + written,
        "completion_tokens": written,
        "prompt_tokens_details": None if cached is None else {"cached_tokens": cached},
    }
    return {**found, "reasoning_tokens": thought} if dialect == "sglang" else found  # vLLM counts no thoughts


def extras(dialect: str) -> dict[str, Any]:
    """What stands beside `choices`."""
    if dialect == "sglang":
        return {"metadata": {"weight_version": "default"}}
    names = ("service_tier", "system_fingerprint", "prompt_logprobs", "prompt_token_ids", "kv_transfer_params")
    return dict.fromkeys(names)


TOO_LONG = {
    "vllm": "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens in the messages, "
    "Please reduce the length of the messages.",
    "vllm_0.10": "The decoder prompt (length 9000) is longer than the maximum model length of 8192. Make sure that "
    "`max_model_len` is no smaller than the number of text tokens.",
    "sglang": "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
}
_TYPES = {400: "BadRequestError", 401: "Unauthorized", 404: "NotFoundError"}


def error(dialect: str, status: int, body: bytes) -> bytes:
    """An error of OpenAI's as this server would have said it."""
    try:
        said = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return body
    message = TOO_LONG[dialect] if said.get("code") == "context_length_exceeded" else said["message"]
    found = {"message": message, "type": _TYPES.get(status, "InternalServerError"), "param": None, "code": status}
    if dialect == "vllm":
        return json.dumps({"error": found}).encode()
    return json.dumps({"object": "error", **found}).encode()
