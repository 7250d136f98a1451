"""Prompts: templates rendered per row, and the chat formats they can be written in."""

from collections.abc import Mapping

Message = Mapping[str, str]
"""One chat message: `{"role": "system" | "user" | "assistant", "content": text}`."""
