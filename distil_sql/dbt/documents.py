"""Tasks as dbt's doc blocks, so that `dbt docs` shows each prompt: `description: "{{ doc('task_judge') }}"`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from distil_sql.dbt.definitions import Definition
from distil_sql.errors import OptionError
from distil_sql.library.loading import read_loaded
from distil_sql.script import CreateTask, LoadTasks
from distil_sql.task import Task

_HEADER = "<!-- Written by distil-sql from the files of the tasks, whenever they change: not to be edited. -->"


def blocks(definitions: Sequence[Definition]) -> str:
    """A file of doc blocks, one a task, called `task_` and its name."""
    made: list[CreateTask] = []
    for item in definitions:
        made += (
            [item] if isinstance(item, CreateTask) else read_loaded(item).tasks if isinstance(item, LoadTasks) else []
        )
    tasks = {statement.task.name.lower(): statement.task for statement in made}
    return "\n\n".join([_HEADER, *(_block(name, tasks[name]) for name in sorted(tasks))]) + "\n"


def keep(path: str, definitions: Sequence[Definition]) -> bool:
    """Write the file where it does not say so already; whether it had to be. Raises OptionError."""
    file, wanted = Path(path), blocks(definitions)
    try:
        if file.exists() and file.read_text(encoding="utf-8") == wanted:
            return False
        part = file.with_name(f".{file.name}.{os.getpid()}")
        part.write_text(wanted, encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise OptionError(f"plugin distil_sql.dbt: docs {path!r} cannot be written: {error.strerror}") from None
    return True


def _block(name: str, task: Task) -> str:
    arguments = ", ".join(f"{argument.name} {argument.type}" for argument in task.arguments)
    lines = [f"Task `{task.name}({arguments})`, a {task.kind}, returns `{task.returns}`."]
    for title, part in (("System", task.system), ("Prompt", task.prompt), ("Parse", task.parse)):
        if part:
            fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", part) or [""]))
            lines.append(f"{title}:\n\n{fence}\n{part.strip()}\n{fence}")
    text = "\n\n".join(lines).replace("{% endraw %}", "{ % endraw % }")
    return f"{{% docs task_{name} %}}\n{{% raw %}}\n{text}\n{{% endraw %}}\n{{% enddocs %}}"
