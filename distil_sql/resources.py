"""Finds the shipped `.sql` files (inside the package in a wheel, beside it in a source tree) and the cache folder."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path

from distil_sql.errors import DistilError

_OTHERS_MAY_WRITE = 0o022


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


def cache_folder() -> Path:
    """Our folder in the user's cache, made if need be; raises OSError where there is none that is the user's alone."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not os.path.isabs(base):
        raise OSError("there is no cache folder")
    folder = Path(base) / "distil-sql"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.stat()
    if hasattr(os, "geteuid") and (about.st_uid != os.geteuid() or about.st_mode & _OTHERS_MAY_WRITE):
        raise OSError("others may write the cache folder")
    return folder
