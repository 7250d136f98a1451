"""Where a table came from: the run that made it, the tasks and models behind it, what their calls cost.

Read from `distil.status`, `distil.calls` and the registry; a table that no run made has an empty lineage.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from distil_sql.errors import ScriptError
from distil_sql.registry import Registry
from distil_sql.script import Source, Sql, read_script
from distil_sql.script.anatomy import function_calls
from distil_sql.script.lexer import Token
from distil_sql.task import Task

_SECRET = re.compile(r"^\s*CREATE\s+(OR\s+REPLACE\s+)?((PERSISTENT|TEMPORARY|TEMP)\s+)?SECRET\b", re.IGNORECASE)
_LOGIN = re.compile(r"(\w+://)[^/\s:@']+:[^@\s']+@")
_WORD = r"(?:password|passwd|secret|authorization|access_?key|api_?key|token)"
_QUOTED = re.compile(rf"(\b\w*{_WORD}['\"]?\s*(?::=|[:=])?\s*)'[^']*'", re.IGNORECASE)
_BARE = re.compile(rf"({_WORD}=)[^\s';&]+", re.IGNORECASE)
_TOKEN = re.compile(r"\b(?:hf_|sk-|ghp_|xox[bp]-|AKIA|gsk_)[A-Za-z0-9_-]{8,}")


@dataclass(frozen=True)
class Spent:
    """The calls of one version of a task on one model."""

    task: str
    version: int
    model: str
    calls: int
    failed: int
    input_tokens: int
    output_tokens: int
    cost: float | None


@dataclass(frozen=True)
class Lineage:
    """A table's past: the statements of its run, the tasks called on the way to it, their calls, their models."""

    statements: Sequence[str]
    tasks: Sequence[Task]
    spent: Sequence[Spent]
    models: Mapping[str, Mapping[str, object]]

    @property
    def sql(self) -> str:
        """The pipeline as one script, without what could be a key."""
        return "".join(f"{public(statement)};\n\n" for statement in self.statements).rstrip() + "\n"


def lineage(con: duckdb.DuckDBPyConnection, registry: Registry, table: str) -> Lineage:
    """What is known of how a table was made."""
    statements = _statements(con, table)
    tasks = [registry.tasks[name] for name in sorted(_tasks(statements, registry, table))]
    query = """SELECT task, task_version, model, count(*), count(*) FILTER (status <> 'ok'),
            coalesce(sum(input_tokens), 0)::BIGINT, coalesce(sum(output_tokens), 0)::BIGINT, sum(cost)
        FROM distil.calls WHERE lower(task) IN (SELECT unnest(?::VARCHAR[]))
        GROUP BY ALL ORDER BY task, task_version, model"""
    spent = [Spent(*row) for row in con.execute(query, [[task.name.lower() for task in tasks]]).fetchall()]
    used = {each.model.lower() for each in spent if each.model}
    models = {
        spec.name: {"type": spec.type, **_without_keys(dict(spec.options))}
        for name, spec in sorted(registry.models.items())
        if name in used
    }
    return Lineage([text for _, text in statements], tasks, spent, models)


def prompt_hash(task: Task) -> str:
    """Twelve hex digits that change when what the task asks, or how it reads the answer, changes."""
    said = json.dumps([task.system, task.prompt, task.returns, task.parse], ensure_ascii=False)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def public(statement: str) -> str:
    """A statement as others may read it: secrets left out, logins and what looks like a key masked."""
    if _SECRET.search(statement):
        return "-- a CREATE SECRET was here"
    masked = _LOGIN.sub(r"\1***@", statement)
    masked = _BARE.sub(r"\1***", _QUOTED.sub(r"\1'***'", masked))
    return _TOKEN.sub("***", masked)


def _without_keys(options: dict[str, object]) -> dict[str, object]:
    shown: dict[str, object] = {}
    for key, value in options.items():
        if key == "path":  # the file's name says what ran; its folder is nobody's business
            shown[key] = re.split(r"[/\\]", str(value))[-1]
        elif key not in ("api_key_env", "extra"):
            shown[key] = _LOGIN.sub(r"\1***@", value) if isinstance(value, str) else value
    return shown


def _statements(con: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str, str]]:
    """Target and text of every statement of the last run that wrote the table."""
    run = con.execute(
        """SELECT s.run_id FROM distil.status s JOIN distil.runs r USING (run_id)
        WHERE lower(replace(s.target, '"', '')) IN (?, ?) AND s.state IN ('done', 'skipped')
        ORDER BY r.started_at DESC LIMIT 1""",
        [_plain(table), f"main.{_plain(table)}"],
    ).fetchone()
    if run is None:
        return []
    query = "SELECT coalesce(target, ''), statement FROM distil.status WHERE run_id = ? ORDER BY statement_no"
    return [(_plain(target), text) for target, text in con.execute(query, [run[0]]).fetchall()]


def _tasks(statements: Sequence[tuple[str, str]], registry: Registry, table: str) -> set[str]:
    """Tasks called by the statements that the table was made from, however many tables away."""
    found: set[str] = set()
    wanted, seen = [_plain(table)], set[str]()
    while wanted:
        target = wanted.pop()
        if target in seen:
            continue
        seen.add(target)
        for made, text in statements:
            tokens = _tokens(text) if made == target else ()
            words = {token.name.lower() for token in tokens if token.kind in ("word", "quoted")}
            wanted += [other for other, _ in statements if other and other.split(".")[-1] in words]
            calls = (registry.function_task(call.name.name) for call in function_calls(tokens))
            found |= {task.name.lower() for task, suffix in filter(None, calls) if suffix != "_prompt"}
    return found


def _tokens(text: str) -> Sequence[Token]:
    try:
        statement = read_script(Source(text, "statement"))[0]
    except ScriptError:
        return ()
    return statement.tokens if isinstance(statement, Sql) else ()


def _plain(name: str) -> str:
    return name.replace('"', "").lower().removeprefix("main.")
