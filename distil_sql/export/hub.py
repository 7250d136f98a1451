"""A dataset repository: a folder with Parquet files, a card and the pipeline, and the way up to the Hub.

`make_folder` writes it; `upload` sends it with huggingface_hub (HF_TOKEN and HF_ENDPOINT are the client's own). Parquet
goes up through Xet where hf_xet is installed, which the tests cannot speak to: they send it the LFS way, as everybody
does who sets HF_HUB_DISABLE_XET=1. A Hub of one's own that knows no Xet needs that: the client would try for minutes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import duckdb

from distil_sql.errors import DatabaseError, HubError, MissingExtra, OptionError
from distil_sql.export.card import card
from distil_sql.export.files import write_file
from distil_sql.export.formats import Rows
from distil_sql.export.lineage import lineage
from distil_sql.export.splits import parts_of
from distil_sql.registry import Registry

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def check_repository(repository: str) -> None:
    """OptionError where the name is not `owner/name`."""
    if not _REPOSITORY.fullmatch(repository) or ".." in repository or "--" in repository:
        raise OptionError(f"{repository!r} is no name of a dataset repository: write owner/name")


def make_folder(
    con: duckdb.DuckDBPyConnection,
    registry: Registry,
    rows: Rows,
    repository: str,
    folder: Path,
    *,
    license_: str | None = None,
    test: float | None = None,
    seed: int = 0,
    by: str | None = None,
) -> tuple[dict[str, int], list[str]]:
    """Write what goes up into `folder`; gives the number of rows of each split, and what is amiss with them."""
    if folder.exists() and any(folder.iterdir()):
        raise OptionError(f"{folder} is not empty: name a new folder")
    parts, notes = parts_of(con, rows, test, seed=seed, by=by)
    try:
        (folder / "data").mkdir(parents=True, exist_ok=True)
        counts = {
            part: write_file(con, chosen, os.fspath(folder / "data" / f"{part}-00000-of-00001.parquet"))
            for part, chosen in parts.items()
        }
        past = lineage(con, registry, rows.table.name)
        text = card(con, repository.split("/")[-1], rows, counts, past, license_)
        (folder / "README.md").write_text(text, encoding="utf-8")
        if past.statements:
            (folder / "pipeline.sql").write_text(past.sql, encoding="utf-8")
    except OSError as error:
        raise DatabaseError(f"{folder} cannot be written: {error.strerror}") from None
    return counts, notes


def upload(folder: Path, repository: str, *, private: bool, message: str) -> str:
    """Send the folder, making the repository if need be; gives its address. Raises MissingExtra, HubError."""
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError
    except ImportError:
        raise MissingExtra("push needs huggingface_hub: pip install 'distil-sql[hub]'") from None
    import huggingface_hub.utils as hub_utils

    hub_utils.disable_progress_bars()
    try:
        api = HfApi(library_name="distil-sql")
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, repo_type="dataset", folder_path=folder, commit_message=message)
        return f"{api.endpoint}/datasets/{repository}"
    except LocalTokenNotFoundError:
        raise HubError("the Hub wants to know who you are: set HF_TOKEN, or log in with 'hf auth login'") from None
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            raise HubError(f"the Hub does not let you write {repository}: set HF_TOKEN to a token that may") from None
        raise HubError(f"the Hub refused {repository}: {_first_line(error)}") from None
    except Exception as error:  # every HTTP library has its own tree, and the client has changed its own
        raise HubError(f"{repository} could not be sent: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return " ".join((str(error).strip() or type(error).__name__).split("\n")[0].split())
