"""Servers that speak OpenAI's protocol, as rows of a table: they differ by an address and an environment variable.

`structured` says how a server takes a JSON schema: `json_schema` (OpenAI's response_format), `json_object` (JSON of any
shape), `structured_outputs` and `guided_json` (vLLM's own parameters, from 0.12 on and before), `none`. A key of None
means that the server needs none.
"""

from __future__ import annotations

from typing import NamedTuple


class Preset(NamedTuple):
    """One row. `base_url` of None means the environment or the model's own option must say it."""

    base_url: str | None
    api_key_env: str | None
    structured: str = "json_schema"
    base_url_env: str | None = None
    key_required: bool = True


PRESETS: dict[str, Preset] = {
    "openai": Preset("https://api.openai.com/v1", "OPENAI_API_KEY", base_url_env="OPENAI_BASE_URL"),
    "azure": Preset(None, "AZURE_OPENAI_API_KEY", base_url_env="AZURE_OPENAI_ENDPOINT"),
    "vllm": Preset("http://localhost:8000/v1", "VLLM_API_KEY", key_required=False),
    "sglang": Preset("http://localhost:30000/v1", "SGLANG_API_KEY", key_required=False),
    "ollama": Preset("http://localhost:11434/v1", None, key_required=False),
    "llama_server": Preset("http://localhost:8080/v1", None, key_required=False),
    "together": Preset("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "mistral": Preset("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "anyscale": Preset("https://api.endpoints.anyscale.com/v1", "ANYSCALE_API_KEY"),
    "groq": Preset("https://api.groq.com/openai/v1", "GROQ_API_KEY", "json_object"),
    "huggingface": Preset("https://router.huggingface.co/v1", "HF_TOKEN"),
    "openrouter": Preset("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "deepseek": Preset("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "json_object"),
}
