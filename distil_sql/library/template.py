"""New databases begin as a copy of one that holds the library already: writing it takes half a second, a copy none.

The copy's original is kept in the user's cache folder, one for each version of the library and of DuckDB. It is a
courtesy: where no such folder can be had, or somebody else could write it, the library is written as if this were not.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import duckdb

from distil_sql.errors import DistilError
from distil_sql.resources import cache_folder

_KEPT = 4  # originals of other versions: environments side by side


def begin_as_copy(path: str, stamp: str, make: Callable[[str], None]) -> None:
    """Put a copy of the original at `path`, where nothing is yet; `make(path)` makes an original where there is none.

    `stamp` tells originals apart. Does nothing where it cannot be done, or where another process was faster; nor where
    a file that was deleted left its log behind: that would be taken for the copy's own, and bring back what was in it.
    """
    if os.path.lexists(f"{path}.wal"):
        return
    with contextlib.suppress(OSError, DistilError, duckdb.Error):
        original = cache_folder() / f"{stamp[:16]}-{duckdb.__version__}.duckdb"
        if not original.exists():
            _make(original, make)
        fresh = Path(f"{path}.{uuid.uuid4().hex[:8]}.new")
        try:
            shutil.copyfile(original, fresh)
            try:
                duckdb.connect(str(fresh), read_only=True).close()
            except duckdb.Error:
                original.unlink()  # damaged, by a disk that was full or whatever it was
                raise
            os.link(fresh, path)  # unlike a rename, this leaves alone what has appeared there meanwhile
        finally:
            fresh.unlink(missing_ok=True)


def _make(original: Path, make: Callable[[str], None]) -> None:
    fresh = original.with_name(f"{uuid.uuid4().hex}.making")
    try:
        make(str(fresh))
        fresh.replace(original)
    finally:
        for left in original.parent.glob(f"{fresh.name}*"):
            left.unlink()
    others = sorted(original.parent.glob("*.duckdb"), key=lambda path: path.stat().st_mtime)
    for old in [path for path in others if path != original][:-_KEPT]:
        old.unlink(missing_ok=True)
