"""Which tokens go into the next decode.

Every running row's last token, beside chunks of the prompts being read. llama.cpp splits such a batch into runs of
neighbouring sequences, and a run into pieces in which every sequence has as many tokens: so the lengths chosen here
decide which of ggml's paths a token takes, and `plan` keeps to those whose result does not depend on the neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from distil_sql.models.llama_cpp.api import BATCH
from distil_sql.models.llama_cpp.rows import Slot

HOLE = 2
"""Most idle slots between two busy ones that are filled: runs decode one after another, and a token costs less."""


@dataclass(slots=True)
class Part:
    """Tokens of one slot; `output` where the row's next token is chosen after them. Padding is forgotten again."""

    slot: Slot
    tokens: Sequence[int]
    output: bool = False
    padding: bool = False


def plan(slots: Sequence[Slot], *, chunk: int, alone: int | None) -> list[Part]:
    """Parts by sequence. `chunk` bounds the tokens of one prompt; a token is not decoded alone from `alone` cells on.

    `alone` None: no padding at all.
    """
    parts: dict[int, Part] = {}
    for slot in slots:
        if slot.row is not None and slot.row.next is not None:
            parts[slot.sequence] = Part(slot, [slot.row.next], output=True)
    for slot, length in _chunks([slot for slot in slots if slot.reading], chunk, BATCH - len(slots)):
        parts[slot.sequence] = _read(slot, length)
    if alone is not None and parts:
        for sequence in _gaps(sorted(parts)):
            parts[sequence] = _pad(slots[sequence])
        for sequence in [s for s in parts if _is_lone(parts, s, alone)]:
            neighbour = sequence + 1 if sequence + 1 < len(slots) else sequence - 1
            parts[neighbour] = _pad(slots[neighbour])
    return [parts[sequence] for sequence in sorted(parts)]


def _chunks(reading: Sequence[Slot], chunk: int, room: int) -> list[tuple[Slot, int]]:
    """How much of each prompt to read; no two lengths (nor one, and 1) differ by 1, which would leave a token alone."""
    lengths: list[tuple[Slot, int]] = []
    for slot in reading:
        length = min(chunk, slot.unread, room)
        if length > 0:
            lengths.append((slot, length))
            room -= length
    lengths.sort(key=lambda pair: pair[1])
    last, found = 1, []
    for slot, length in lengths:
        last = last if length == last + 1 else length
        found.append((slot, last))
    return found


def _read(slot: Slot, length: int) -> Part:
    assert slot.row is not None
    start = len(slot.cells)
    return Part(slot, slot.row.tokens[start : start + length], output=length == slot.unread)


def _gaps(sequences: Sequence[int]) -> list[int]:
    return [gap for left, right in pairwise(sequences) if right - left - 1 <= HOLE for gap in range(left + 1, right)]


def _is_lone(parts: dict[int, Part], sequence: int, alone: int) -> bool:
    part = parts[sequence]
    neighbours = sequence - 1 in parts or sequence + 1 in parts
    return not neighbours and len(part.tokens) == 1 and len(part.slot.cells) >= alone


def _pad(slot: Slot) -> Part:
    """A token for the company's sake: of the slot's own prompt where it reads one, else any, forgotten afterwards."""
    return _read(slot, 1) if slot.reading else Part(slot, [0], padding=True)
