"""Where calls go: what we write ourselves is what the openai package would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import distil_sql
from distil_sql.models import address as module
from distil_sql.models.address import address
from distil_sql.models.options import ModelSpec
from tests.command import model
from tests.fake_server import FakeServer


def spec(**options: object) -> ModelSpec:
    return ModelSpec.read("m", {"type": "openai", "model": "x", **options})


@pytest.mark.parametrize(
    "base_url", ["http://localhost:8000/v1", "http://localhost:8000/v1/", "https://a.example/b/v1"]
)
def test_a_plain_server_is_addressed_as_the_package_would(monkeypatch: pytest.MonkeyPatch, base_url: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    url, headers = address(spec(base_url=base_url))
    theirs, more = module._by_the_package(spec(base_url=base_url), "sk-1")
    assert url == theirs
    assert headers["Authorization"] == more["Authorization"] == "Bearer sk-1"
    assert headers["Content-Type"] == more["Content-Type"] == "application/json"


def test_what_the_environment_tells_the_package_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-7")
    for options in ({}, {"base_url": "http://localhost:8000/v1"}):
        assert address(spec(**options))[1]["OpenAI-Organization"] == "org-7"


def test_a_plain_server_costs_no_import_of_the_package() -> None:
    code = (
        "import sys; from distil_sql.models.address import address; from distil_sql.models.options import ModelSpec;"
        "address(ModelSpec.read('m', {'type': 'openai', 'model': 'x', 'preset': 'vllm'}));"
        "sys.exit('openai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("organization", [None, "org-7"])
def test_the_key_reaches_a_server_that_asks_for_it(
    fake_server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, organization: str | None
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
    if organization:
        monkeypatch.setenv("OPENAI_ORG_ID", organization)
    fake_server.configure(auth={"api_key": "sk-right"})
    made = model(fake_server) + "CREATE TABLE t AS SELECT text_generation('a') AS x;"
    distil_sql.run(made, tmp_path / "x.duckdb")
    assert fake_server.stats()["status"] == {"200": 1}


def test_the_key_reaches_azure(fake_server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "az-right")
    fake_server.configure(auth={"api_key": "az-right"})
    base = fake_server.base_url.removesuffix("/v1")
    made = f"CREATE MODEL generator (TYPE openai, preset azure, model 'gpt', base_url '{base}');"
    distil_sql.run(made + "CREATE TABLE t AS SELECT text_generation('a') AS x;", tmp_path / "x.duckdb")
    assert fake_server.stats()["status"] == {"200": 1}
