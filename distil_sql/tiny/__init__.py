"""The embedded model: 3.5 million parameters that answer the examples offline. README.md is its card.

from distil_sql import tiny
tiny.path()      # the GGUF file that ``CREATE MODEL m (TYPE llama_cpp, path 'tiny')`` loads
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["path"]


def path() -> Path:
    """Where the shipped GGUF file lies."""
    return Path(__file__).with_name("tiny.gguf")
