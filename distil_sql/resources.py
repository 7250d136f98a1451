"""Finds the shipped `.sql` files: inside the package in a wheel, beside it in a source tree or editable install."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from distil_sql.errors import DistilError


@lru_cache(maxsize=1)
def sql_folder() -> Path:
    """The folder that holds `schema.sql` and `tasks/`."""
    package = Path(__file__).parent
    for folder in (package / "sql", package.parent / "sql"):
        if (folder / "schema.sql").is_file():
            return folder
    raise DistilError("the SQL files of distil-sql are missing from this installation: reinstall the package")


def read_sql(name: str) -> str:
    """The text of one shipped file, such as `schema.sql`."""
    return (sql_folder() / name).read_text(encoding="utf-8")
