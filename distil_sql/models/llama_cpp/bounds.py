"""Numbers between two bounds as alternatives of a grammar (GBNF): digit by digit, for a grammar cannot count.

`whole(low, high)` and `decimals(low, high)`; both raise `ValueError` where there is none, or bounds cannot be kept.
"""

from __future__ import annotations

from collections.abc import Sequence


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
    """Alternatives that match the decimal numbers from `low` to `high`, which are whole."""
    if low != int(low) or high != int(high) or low > high:
        raise ValueError(f"a model cannot be held to numbers from {low} to {high}: use whole bounds")
    least, most = int(low), int(high)
    found = [f'"-" {one}' for one in _decimals(max(0, -most), -least)] if least < 0 else []
    return found + (_decimals(max(0, least), most) if most >= 0 else [])


def _decimals(low: int, high: int) -> list[str]:
    zeros = f'"{high}" ("." "0"{{1,15}})?'
    return [zeros] if low == high else [f'({" | ".join(whole(low, high - 1))}) ("." [0-9]{{1,15}})?', zeros]


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
