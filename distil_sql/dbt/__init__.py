"""dbt-duckdb's way in: `plugins: [{module: distil_sql.dbt, config: {…}}]` in a profile makes every task a function.

`config.py` lists the options. The dbt package beside this module (`package/`, for `packages.yml`) holds the `distil`
materialization and the tests of labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

__all__ = ["PACKAGE", "Plugin"]

PACKAGE = Path(__file__).parent / "package"
"""The folder of the dbt package, as `packages.yml` names it: `- local: …`."""

if TYPE_CHECKING:
    from distil_sql.dbt.plugin import Plugin


def __getattr__(name: str) -> object:
    # dbt is there where dbt asks for the plugin, and need not be where its package is only to be found
    if name == "Plugin":
        from distil_sql.dbt.plugin import Plugin

        return Plugin
    raise AttributeError(f"module 'distil_sql.dbt' has no attribute {name!r}")
