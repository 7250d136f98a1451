"""Where the calls of a model go, and with what headers.

The `openai` package knows OpenAI's and Azure's configuration: URLs, organization, project, authentication. Any other
server needs an address and a key, and no half second for importing the package.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from distil_sql.models.options import ModelSpec

_OPENAI = "api.openai.com"
_READ_BY_US = ("OPENAI_API_KEY", "OPENAI_BASE_URL")
_JSON = {"Accept": "application/json", "Content-Type": "application/json"}


def address(spec: ModelSpec) -> tuple[str, dict[str, str]]:
    """The URL of chat completions and the headers of every call, the key's among them."""
    key = spec.api_key or "none"
    if _is_plain(spec):
        from distil_sql import __version__

        agent = {"User-Agent": f"distil-sql/{__version__}"}
        return f"{spec.base_url.rstrip('/')}/chat/completions", {"Authorization": f"Bearer {key}", **_JSON, **agent}
    return _by_the_package(spec, key)


def _is_plain(spec: ModelSpec) -> bool:
    """Whether the server is neither Azure's nor OpenAI's own, and the environment tells the package nothing of it."""
    told = any(name.startswith("OPENAI_") and name not in _READ_BY_US for name in os.environ)
    return spec.preset != "azure" and urlsplit(spec.base_url).hostname != _OPENAI and not told


def _by_the_package(spec: ModelSpec, key: str) -> tuple[str, dict[str, str]]:
    import openai

    client: openai.OpenAI
    if spec.preset == "azure":
        version = spec.text("api_version") or "2024-10-21"
        client = openai.AzureOpenAI(
            api_key=key, api_version=version, azure_endpoint=spec.base_url, azure_deployment=spec.text("model")
        )
    else:
        client = openai.OpenAI(api_key=key, base_url=spec.base_url)
    given = {**client.auth_headers, **client.default_headers}  # the second held the first until openai 3
    headers = {name: value for name, value in given.items() if isinstance(value, str)}
    if spec.preset == "azure":
        headers["api-key"] = key
    url = str(client.base_url).rstrip("/") + "/chat/completions"
    query = "&".join(f"{name}={value}" for name, value in client.default_query.items())
    client.close()
    headers = {name: value for name, value in headers.items() if name.lower() not in ("content-type", "accept")}
    return f"{url}?{query}" if query else url, {**headers, **_JSON}
