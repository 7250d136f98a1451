"""The `.sql` files of models and tasks that a profile names: read, checked as a whole, applied where they changed."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from distil_sql.check import apply_ddl, check_script
from distil_sql.errors import OptionError
from distil_sql.pipeline import read_source
from distil_sql.script import CreateModel, CreateTask, LoadTasks, read_script
from distil_sql.session import Session
from distil_sql.task import nearest

Definition = CreateModel | CreateTask | LoadTasks
_LIMITS = {"openai": ("concurrency", "rpm", "tpm", "timeout"), "llama_cpp": ("concurrency", "timeout")}


def read_definitions(patterns: Sequence[str], limits: Mapping[str, float]) -> list[Definition]:
    """Every CREATE MODEL, CREATE TASK and LOAD TASKS of the files, in order, each as if it said OR REPLACE.

    `limits` take the place of what the models say (`concurrency`, `rpm`, `tpm`, `timeout`). Raises OptionError for a
    path where there is no file, ScriptError for what cannot be read.
    """
    found: list[Definition] = []
    for path in _paths(patterns):
        for statement in read_script(read_source(path)):
            if isinstance(statement, CreateModel):
                limited = _limited(statement.options, limits)
                found.append(replace(statement, options=limited, replace=True, if_not_exists=False))
            elif isinstance(statement, CreateTask):
                found.append(replace(statement, replace=True, if_not_exists=False))
            elif isinstance(statement, LoadTasks):
                found.append(statement)
            else:
                raise statement.error(
                    "only CREATE MODEL, CREATE … TASK and LOAD TASKS belong here: other SQL is a model of dbt's"
                )
    return found


def apply_definitions(session: Session, definitions: Sequence[Definition]) -> None:
    """Bring the database up to date in one transaction; what has not changed is not touched. Raises ScriptError."""
    registry = session.registry
    with session.cursor() as con:
        check_script(definitions, registry, con)
        con.execute("BEGIN")
        statement: Definition | None = None
        try:
            for statement in definitions:
                known = registry.tasks.get(statement.task.name.lower()) if isinstance(statement, CreateTask) else None
                task = apply_ddl(statement, registry, con)
                if task != known:
                    session.define(con, task)
            con.execute("COMMIT")
        except BaseException as error:
            con.execute("ROLLBACK")
            registry.load(session.root)
            if isinstance(error, OptionError | duckdb.Error) and statement is not None:
                raise statement.error(str(error)) from None
            raise


def _paths(patterns: Sequence[str]) -> list[Path]:
    paths: dict[Path, None] = {}
    for pattern in patterns:
        matches = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]
        files = [file for match in matches for file in (sorted(match.glob("*.sql")) if match.is_dir() else [match])]
        if not files:
            beside = [str(path) for path in sorted(Path(pattern).parent.glob("*.sql"))]
            raise OptionError(
                f"plugin distil_sql.dbt: files names {pattern!r}, where there is no .sql file{nearest(pattern, beside)}"
            )
        paths |= dict.fromkeys(files)
    return list(paths)


def _limited(options: Mapping[str, object], limits: Mapping[str, float]) -> Mapping[str, object]:
    allowed = _LIMITS.get(str(options.get("type", "")).lower(), ())
    return {**options, **{option: value for option, value in limits.items() if option in allowed}}
