"""Numbers between two bounds as alternatives of a grammar (GBNF): digit by digit, for a grammar cannot count.

`whole(low, high)` and `decimals(low, high)`; both raise `ValueError` where there is none, or bounds cannot be kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

PLACES = 15
"""Most digits after the point: more, a double does not tell apart."""

_ZEROS, _NINES = "0" * PLACES, "9" * PLACES


def whole(low: float, high: float) -> list[str]:
    """Alternatives that match the whole numbers from `low` to `high`, and nothing else."""
    least, most = -int(-low // 1), int(high // 1)
    if least > most:
        raise ValueError(f"no whole number lies between {low} and {high}")
    found = [f'"-" ({" | ".join(_positive(max(1, -most), -least))})'] if least < 0 else []
    if least <= 0 <= most:
        found.append('"0"')
    if most > 0:
        found.extend(_positive(max(1, least), most))
    return found


def decimals(low: float, high: float) -> list[str]:
    """Alternatives that match the numbers from `low` to `high`, of at most 15 digits after the point."""
    least, most = Decimal(str(low)), Decimal(str(high))
    if low > high or max(_places(least), _places(most)) > PLACES:
        raise ValueError(f"a model cannot be held to numbers from {low} to {high}")
    found = [f'"-" {one}' for one in _decimals(max(Decimal(0), -most), -least)] if least < 0 else []
    return found + (_decimals(max(Decimal(0), least), most) if most >= 0 else [])


def _places(number: Decimal) -> int:
    """Digits after the point."""
    return -int(number.normalize().as_tuple().exponent)


def _decimals(low: Decimal, high: Decimal) -> list[str]:
    least, most = int(low), int(high)
    above, below = (f"{abs(bound):.{PLACES}f}"[-PLACES:] for bound in (low, high))
    if least == most:
        return [f'"{least}" {_point(above, below)}']
    found = [f'"{most}" {_point(_ZEROS, below)}']
    if above != _ZEROS:
        found.append(f'"{least}" {_point(above, _NINES)}')
        least += 1
    if least < most:
        found.insert(0, f"({' | '.join(whole(least, most - 1))}) {_point(_ZEROS, _NINES)}")
    return found


def _point(low: str, high: str) -> str:
    """A point and digits between two, which both are PLACES long; none as well, where zeros would do."""
    found = _some(low, high)
    digits = found[0] if len(found) == 1 else f"({' | '.join(found)})"
    return f'("." {digits}){"" if low.strip("0") else "?"}'


def _some(low: str, high: str) -> list[str]:
    """One digit or more, as `_point`; those that are not written are zeros."""
    room = len(low)
    if not low.strip("0") and high in (room * "0", room * "9"):
        return [f"{_digits('0', high[0])}{{1,{room}}}"]
    if low[0] == high[0]:
        return [f'"{low[0]}" {_more(low[1:], high[1:])}'.rstrip()]
    first, last = int(low[0]), int(high[0])
    found: list[str] = []
    if low[1:].strip("0"):
        found.append(f'"{first}" {_more(low[1:], "9" * (room - 1))}')
        first += 1
    if high[1:].strip("9"):
        found.append(f'"{last}" {_more("0" * (room - 1), high[1:])}')
        last -= 1
    if first <= last:
        any_digit = _digits(str(first), str(last))
        found.append(f"{any_digit} [0-9]{{0,{room - 1}}}" if room > 1 else any_digit)
    return found


def _more(low: str, high: str) -> str:
    """The digits after those that are written: `_some`, or none where zeros would do."""
    return f"({' | '.join(_some(low, high))}){'' if low.strip('0') else '?'}" if low else ""


def _positive(low: int, high: int) -> list[str]:
    found: list[str] = []
    for length in range(len(str(low)), len(str(high)) + 1):
        first, last = max(low, 10 ** (length - 1)), min(high, 10**length - 1)
        found.extend(" ".join(parts) for parts in _same_length(str(first), str(last)))
    return found


def _same_length(low: str, high: str) -> list[Sequence[str]]:
    """Digit patterns from `low` to `high`, two numbers of as many digits."""
    if low == high:
        return [(f'"{low}"',)] if low else [()]
    rest = len(low) - 1
    any_rest = (f"[0-9]{{{rest}}}",) if rest else ()
    if low[1:] == "0" * rest and high[1:] == "9" * rest:
        return [(_digits(low[0], high[0]), *any_rest)]
    if low[0] == high[0]:
        return [(f'"{low[0]}"', *parts) for parts in _same_length(low[1:], high[1:])]
    first, last = int(low[0]), int(high[0])
    found: list[Sequence[str]] = []
    if low[1:] != "0" * rest:
        found += [(f'"{first}"', *parts) for parts in _same_length(low[1:], "9" * rest)]
        first += 1
    tail: list[Sequence[str]] = []
    if high[1:] != "9" * rest:
        tail = [(f'"{last}"', *parts) for parts in _same_length("0" * rest, high[1:])]
        last -= 1
    if first <= last:
        found.append((_digits(str(first), str(last)), *any_rest))
    return found + tail


def _digits(first: str, last: str) -> str:
    return f'"{first}"' if first == last else f"[{first}-{last}]"
