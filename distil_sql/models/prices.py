"""What well-known models cost where the user does not say: `sql/prices.csv`, USD per million tokens, dated.

Prices change: a model's own `price_in`, `price_out`, `price_cached` always win.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from typing import NamedTuple

from distil_sql.resources import read_sql


class Price(NamedTuple):
    """USD per million tokens."""

    input: float
    cached: float
    output: float


@lru_cache(maxsize=1)
def _table() -> dict[str, Price]:
    rows = csv.DictReader(read_sql("prices.csv").splitlines())
    columns = ("price_in", "price_cached", "price_out")
    return {row["model"]: Price(*(float(row[column]) for column in columns)) for row in rows}


def known_price(model: str) -> Price | None:
    """The price of a model by its name at the server; a dated snapshot (gpt-4o-2024-08-06) costs as its family."""
    table = _table()
    if model in table:
        return table[model]
    families = [name for name in table if model.startswith(f"{name}-2")]
    return table[max(families, key=len)] if families else None
