"""A pool: several models behind one name, samples dealt over them.

The dealing is deterministic, so that a rerun asks the same model the same thing: the n samples of one prompt go to
different models in turn, and which one comes first depends on the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence


def deal(members: Sequence[str], prompt_hash: int, sample: int) -> str:
    """The member that answers one sample of one prompt."""
    return members[(prompt_hash + sample) % len(members)]
