"""Model files with made-up weights, written once a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _unprobed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child process for every made-up file would take longer than the tests."""
    pytest.importorskip("llama_cpp")
    if "probed" not in request.fixturenames:
        monkeypatch.setattr("distil_sql.models.llama_cpp.shelf.probe", lambda *_: None)


@pytest.fixture
def probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files are probed, and what has run is noted in this folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf")


@pytest.fixture(scope="session")
def small(folder: Path) -> Path:
    from tests import made_up_gguf

    return made_up_gguf.write(folder / "small.gguf")


@pytest.fixture(scope="session")
def slow(folder: Path) -> Path:
    """Half a second for a batch of 512 tokens."""
    from tests import made_up_gguf

    return made_up_gguf.write(folder / "slow.gguf", width=512, layers=8, hidden=2048, context=8192)


@pytest.fixture(scope="session", params=["llama", "gpt2"])
def weights(folder: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Vocabularies of both kinds: pieces of text, and pieces of bytes."""
    from distil_sql.models.llama_cpp.api import Weights
    from tests import made_up_gguf

    path = made_up_gguf.write(folder / f"{request.param}.gguf", tokenizer=request.param)
    loaded = Weights(str(path))
    yield loaded
    loaded.close()
