"""The dot commands: `.tables`, `.mode csv`, … Each is a function of the shell and its words; `.help` lists them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from distil_sql.errors import Interrupted, OptionError
from distil_sql.pipeline import RunOptions, read_source, run_in
from distil_sql.shell.catalog import Catalog
from distil_sql.shell.completion import Suggestion, paths
from distil_sql.shell.output import MODES, mode_named
from distil_sql.task import Task, nearest

if TYPE_CHECKING:
    from distil_sql.shell.shell import Shell

_TABLES = """
    WITH found AS (
        SELECT database_name, schema_name, table_name AS name, 'table' AS type, column_count, estimated_size
            FROM duckdb_tables() WHERE NOT internal
        UNION ALL
        SELECT database_name, schema_name, view_name, 'view', column_count, NULL FROM duckdb_views() WHERE NOT internal
    )
    SELECT * FROM (SELECT concat(
            CASE WHEN database_name NOT IN (current_database(), 'temp') THEN database_name || '.' END,
            CASE WHEN schema_name <> 'main' THEN schema_name || '.' END, name) AS name,
        type, column_count AS columns, estimated_size AS rows
    FROM found)"""
_IN_ORDER = " ORDER BY starts_with(name, 'distil.'), name"
_SCHEMA = """
    SELECT concat(CASE WHEN schema_name <> 'main' THEN schema_name || '.' END, name) AS name, sql FROM (
        SELECT schema_name, table_name AS name, sql FROM duckdb_tables() WHERE NOT internal
        UNION ALL SELECT schema_name, view_name, sql FROM duckdb_views() WHERE NOT internal
    ) ORDER BY ALL"""
_STATUS = """
    SELECT statement_no AS "#", coalesce(target, left(statement, 40)) AS statement, state, calls_done AS done,
        calls_total AS calls, calls_failed AS failed, ledger_hits AS "from ledger", input_tokens AS "tokens in",
        output_tokens AS "tokens out", round(cost, 6) AS cost, note
    FROM distil.status WHERE run_id = ? ORDER BY statement_no"""


@dataclass(frozen=True)
class Command:
    """A dot command: its arguments as `.help` shows them, what it does, and the function that does it."""

    arguments: str
    about: str
    run: Callable[[Shell, Sequence[str]], None]
    takes: tuple[int, int] = (0, 0)


def run_command(shell: Shell, text: str) -> None:
    """Run one dot command; raises OptionError for one that is unknown or misused."""
    try:
        name, *words = shlex.split(text.rstrip(";").strip()[1:], comments=False)
    except ValueError:
        raise OptionError(f"{text}: a quote is never closed: add the missing one") from None
    command = COMMANDS[_named(name)]
    fewest, most = command.takes
    if not fewest <= len(words) <= most:
        raise OptionError(f"write it as .{_named(name)} {command.arguments}".rstrip())
    command.run(shell, words)


def suggest_command(before: str, catalog: Catalog) -> list[Suggestion]:
    """What may follow in a dot command: its name, or its argument."""
    name, space, typed = before[1:].partition(" ")
    if not space:
        return [Suggestion(known, len(name), command.about) for known, command in _starting(name)]
    found: Iterable[str] = ()
    if name in ("read", "run", "open"):
        return list(paths(typed))
    if name == "mode":
        found = MODES
    elif name in ("tables", "schema"):
        found = catalog.tables
    elif name == "tasks":
        found = catalog.tasks
    elif name == "timer":
        found = ("on", "off")
    return [Suggestion(text, len(typed), "") for text in found if text.startswith(typed)]


def _starting(name: str) -> list[tuple[str, Command]]:
    return [(known, command) for known, command in COMMANDS.items() if known.startswith(name.lower())]


def _named(name: str) -> str:
    """A command by its name or as much of it as tells it from the others."""
    if name.lower() in COMMANDS:
        return name.lower()
    starting = _starting(name) if name else []
    if len(starting) == 1:
        return starting[0][0]
    if starting:
        raise OptionError(f"there is no command .{name}: is it .{' or .'.join(known for known, _ in starting)}?")
    near = nearest(f".{name}", [f".{known}" for known in COMMANDS])
    raise OptionError(f"there is no command '.{name}'{near or ': .help lists them'}")


# -- what is there -----------------------------------------------------------------------------------------------------


def _tables(shell: Shell, words: Sequence[str]) -> None:
    query = _TABLES
    if words:
        pattern = words[0] if "%" in words[0] else f"%{words[0]}%"
        query += " WHERE name ILIKE '" + pattern.replace("'", "''") + "'"
    shell.show_relation(shell.statements.con.sql(query + _IN_ORDER))


def _schema(shell: Shell, words: Sequence[str]) -> None:
    found = shell.statements.con.execute(_SCHEMA).fetchall()
    if words:
        wanted = words[0].lower()
        task = shell.session.registry.tasks.get(wanted)
        named = [row for row in found if row[0].lower() == wanted]
        if not named and task is not None:
            shell.console.write(_described(task))
            return
        if not named:
            known = [*(row[0] for row in found), *shell.session.registry.tasks]
            raise OptionError(f"there is no table, view or task {words[0]!r}{nearest(words[0], known)}")
        found = named
    for name, sql in found:
        if words or not name.startswith("distil."):
            shell.console.write(f"{sql.rstrip().rstrip(';')};\n")


def _tasks(shell: Shell, words: Sequence[str]) -> None:
    registry = shell.session.registry
    if words:
        shell.console.write(_described(registry.task(words[0])))
        return
    tasks = sorted(registry.tasks.values(), key=lambda task: (task.name.lower() in registry.origins, task.name.lower()))
    shell.show(
        {
            "task": [task.name for task in tasks],
            "kind": [task.kind for task in tasks],
            "arguments": [", ".join(argument.name for argument in task.arguments) for task in tasks],
            "returns": [task.returns for task in tasks],
            "from": [registry.origins.get(task.name.lower(), "here") for task in tasks],
        }
    )


def _described(task: Task) -> str:
    model = f", model {task.model}" if task.model else ""
    text = f"{task.name}({task.signature}) RETURNS {task.returns}\n{task.kind}, version {task.version}{model}\n"
    for title, part in (("SYSTEM", task.system), ("PROMPT", task.prompt), ("PARSE", task.parse)):
        text += f"\n{title}\n{part}\n" if part else ""
    return text


def _models(shell: Shell, words: Sequence[str]) -> None:
    models = sorted(shell.session.registry.models.values(), key=lambda spec: spec.name.lower())
    if not models:
        shell.console.note("no models yet: CREATE MODEL generator (TYPE llama_cpp, path 'tiny'); makes one")
        return
    shell.show(
        {
            "model": [spec.name for spec in models],
            "type": [spec.type for spec in models],
            "options": [json.dumps(dict(spec.options), ensure_ascii=False) for spec in models],
        }
    )


def _status(shell: Shell, words: Sequence[str]) -> None:
    con = shell.statements.con
    query = "SELECT run_id::VARCHAR, script, state, error FROM distil.runs ORDER BY started_at DESC LIMIT 1"
    runs = con.execute(query).fetchall()
    if not runs:
        shell.console.note(f"no run yet in {shell.session.path}")
        return
    (run,) = runs
    shell.console.note(f"{run[1]}  {run[2]}" + (f": {run[3]}" if run[3] else ""))
    shell.show_relation(con.sql(_STATUS, params=[run[0]]))


# -- how it looks ------------------------------------------------------------------------------------------------------


def _mode(shell: Shell, words: Sequence[str]) -> None:
    if words:
        shell.look.mode = mode_named(words[0])
    else:
        shell.console.write(f"{shell.look.mode} (the modes are {', '.join(MODES)})\n")


def _max_rows(shell: Shell, words: Sequence[str]) -> None:
    shell.look.max_rows = _number(words[0])


def _max_width(shell: Shell, words: Sequence[str]) -> None:
    shell.look.max_width = _number(words[0]) or None


def _number(word: str) -> int:
    if not word.isdecimal():
        raise OptionError(f"{word!r} is no number")
    return int(word)


def _timer(shell: Shell, words: Sequence[str]) -> None:
    if words[0].lower() not in ("on", "off"):
        raise OptionError(f"the timer is on or off, not {words[0]!r}")
    shell.timer = words[0].lower() == "on"


# -- files and the way out ---------------------------------------------------------------------------------------------


def _read(shell: Shell, words: Sequence[str]) -> None:
    path = Path(words[0]).expanduser()
    if path.is_dir():
        raise OptionError(f"{words[0]} is a folder: .run runs it as a pipeline")
    shell.read_file(read_source(path))


def _run(shell: Shell, words: Sequence[str]) -> None:
    if shell.statements.in_transaction:
        raise OptionError("a transaction is open: COMMIT or ROLLBACK before .run")
    models = shell.how.overrides
    options = RunOptions(models.get("generator"), models.get("labeller"), embedder=models.get("embedder"))
    options = replace(options, max_error_ratio=shell.how.policy.max_error_ratio)
    source = read_source(Path(words[0]).expanduser())
    try:
        state = run_in(shell.session, source, options, shell.console.script_progress)
    except Interrupted:
        raise Interrupted(f"interrupted; everything finished is kept: .run {words[0]} goes on where it was") from None
    finally:
        shell.statements.tell()
    shell.console.script_ended(state)


def _open(shell: Shell, words: Sequence[str]) -> None:
    shell.open(words[0])


def _help(shell: Shell, words: Sequence[str]) -> None:
    usages = {f".{name} {command.arguments}".rstrip(): command.about for name, command in COMMANDS.items()}
    widest = max(map(len, usages))
    shell.console.write("".join(f"{usage:<{widest}}  {about}\n" for usage, about in usages.items()))
    shell.console.write("A statement ends with ; and may go over several lines. Ctrl-C cancels it, Ctrl-D leaves.\n")


def _quit(shell: Shell, words: Sequence[str]) -> None:
    shell.leave()


COMMANDS = {
    "tables": Command("[NAME]", "List tables and views, or those with NAME in their names", _tables, (0, 1)),
    "schema": Command("[NAME]", "Show how tables and views are made, or one of them, or a task", _schema, (0, 1)),
    "tasks": Command("[NAME]", "List the tasks, or show one in full", _tasks, (0, 1)),
    "models": Command("", "List the models", _models),
    "status": Command("", "Show the latest run, or the latest statement here that called a task", _status),
    "mode": Command("[MODE]", f"How results are shown: {', '.join(MODES)}", _mode, (0, 1)),
    "maxrows": Command("N", "Rows that a box shows (40)", _max_rows, (1, 1)),
    "maxwidth": Command("N", "Columns that a box is wide; 0: the terminal's", _max_width, (1, 1)),
    "timer": Command("on|off", "Say how long each statement took", _timer, (1, 1)),
    "read": Command("FILE", "Run the statements and commands of a file here", _read, (1, 1)),
    "run": Command("FILE", "Run a file or folder as a pipeline: recorded, and resumed where it stopped", _run, (1, 1)),
    "open": Command("FILE", "Close this database and open another", _open, (1, 1)),
    "help": Command("", "Show this", _help),
    "quit": Command("", "Leave (also .exit, Ctrl-D)", _quit),
    "exit": Command("", "Leave", _quit),
}
