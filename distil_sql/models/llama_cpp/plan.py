"""Which tokens go into the next decode: `prompts` to be read, and then `answers`, one token of every running row.

A stretch of an answer that was forced is read as a prompt is.

llama.cpp splits a batch into runs of neighbouring sequences, and a run into pieces in which every sequence has as many
tokens. A token alone in its sequence takes other routines than several do, with other roundings. So the bits of an
answer stay the same in any company if prompts are never read by single tokens, and answers always are: prompts and
answers do not share a decode, and no two prompts in one differ by a single token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from distil_sql.models.llama_cpp.rows import Slot

FEWEST = 2
"""Fewest tokens of a prompt in one decode."""

HOLE = 2
"""Most idle slots between two running ones that are filled: another run costs more than that many tokens."""


_MOST_AGAIN = 3


@dataclass(slots=True)
class Part:
    """Tokens of one slot; `output` where the row's next token is chosen after them. Padding is forgotten again."""

    slot: Slot
    tokens: Sequence[int]
    output: bool = False
    padding: bool = False
    again: int = 0
    """How many of the tokens are the slot's last cells, and read once more."""


def prompts(slots: Sequence[Slot], room: int, *, again: bool) -> list[Part]:
    """Chunks of the prompts being read, by sequence, `room` tokens; those that do not fit wait for the next decode.

    `again`: cells can be given up to be read once more.
    """
    wanted = list[tuple[Slot, int]]()
    for slot in slots:
        if slot.row is None or not slot.reading:
            continue
        length = min(slot.unread, room)
        if slot.unread - length == 1:
            length -= 1
        if (length < FEWEST and length < slot.unread) or length == 0:
            continue
        room -= length
        wanted.append((slot, length))
    parts = [_part(slot, length, more) for slot, length, more in _apart(wanted, room if again else 0)]
    return sorted(parts, key=lambda part: part.slot.sequence)


def _apart(wanted: Sequence[tuple[Slot, int]], room: int) -> Iterator[tuple[Slot, int, int]]:
    """Lengths of which no two differ by one, with how many cells to read again for that; the long choose first.

    A token of a prompt that is read again is the same; an answer's, which was read alone, would not be.
    """
    lengths = set[int]()
    for slot, length in sorted(wanted, key=lambda pair: (len(pair[0].cells) == pair[0].prompt, -pair[1])):
        spare = min(room, len(slot.cells), _MOST_AGAIN) if len(slot.cells) == slot.prompt else 0
        for again in range(spare + 1):
            if not lengths & {length + again - 1, length + again + 1}:
                lengths.add(length + again)
                room -= again
                yield slot, length, again
                break


def _part(slot: Slot, length: int, again: int) -> Part:
    assert slot.row is not None
    start = len(slot.cells)
    return Part(slot, slot.row.tokens[start - again : start + length], output=length == slot.unread, again=again)


def answers(slots: Sequence[Slot], *, pad_holes: bool, pad_lone: bool) -> list[Part]:
    """The last token of every running row, by sequence.

    `pad_lone`: no token is decoded alone, as unquantised weights need: their products, too, differ for one row.
    """
    parts: dict[int, Part] = {}
    for slot in slots:
        if slot.row is not None and slot.running:
            parts[slot.sequence] = Part(slot, slot.row.tokens[-1:], output=True)
    if pad_holes:
        for left, right in pairwise(sorted(parts)):
            if right - left - 1 <= HOLE:
                parts.update((gap, Part(slots[gap], [0], padding=True)) for gap in range(left + 1, right))
    if pad_lone and len(slots) > 1:
        for sequence in [s for s in parts if s - 1 not in parts and s + 1 not in parts]:
            neighbour = sequence + 1 if sequence + 1 < len(slots) else sequence - 1
            parts[neighbour] = Part(slots[neighbour], [0], padding=True)
    return [parts[sequence] for sequence in sorted(parts)]
