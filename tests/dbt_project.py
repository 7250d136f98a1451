"""dbt in a process of its own that takes one command after the other, as dbt starts slowly: `with Dbt(folder) as dbt:`.

The process holds the project's database, as dbt does, so queries go through it as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from distil_sql.dbt import PACKAGE

ROOT = str(Path(__file__).parent.parent)
BASE = {
    "dbt_project.yml": "name: proj\nversion: '1.0'\nconfig-version: 2\nprofile: proj\n"
    "flags: {send_anonymous_usage_stats: false}\nmodels: {+persist_docs: {relation: true, columns: true}}\n",
    "packages.yml": f"packages: [{{local: '{PACKAGE}'}}]\n",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    """A project's files, with those that every project needs."""
    for name, text in {**BASE, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    packages = folder / "dbt_packages"
    packages.mkdir(exist_ok=True)
    (packages / "distil_sql").symlink_to(PACKAGE)  # all that `dbt deps` does
    return folder


def profile(**plugins: str) -> str:
    """profiles.yml with a target for each plugin config, written as YAML; the first is the default."""
    lines = [f"proj:\n  target: {next(iter(plugins))}\n  outputs:\n"]
    for target, config in plugins.items():
        plugin = f"plugins: [{{module: distil_sql.dbt, config: {config}}}]"
        lines.append(f"    {target}: {{type: duckdb, path: data.duckdb, threads: 4, {plugin}}}\n")
    return "".join(lines)


def command(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command line `dbt …` in a project, running; all its output in one stream."""
    return subprocess.Popen(
        [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *arguments],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "DBT_USE_COLORS": "false"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Dbt:
    """A process that answers to `invoke` and `sql`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.dbt_project"],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), ROOT]),
                "DBT_PROJECT": str(folder),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self.returncode = self._process.wait(30)

    def invoke(self, *arguments: str) -> dict[str, Any]:
        """Run a dbt command: `error` or `{name: (status, message)}` in `results`, and what it logged in `log`."""
        self.begin(*arguments)
        return self.answer()

    def sql(self, query: str) -> list[list[Any]]:
        """The rows of a query on the project's database."""
        self._say({"sql": query})
        rows: list[list[Any]] = self.answer()["rows"]
        return rows

    def value(self, query: str) -> Any:
        """The one value of a query."""
        ((found,),) = self.sql(query)
        return found

    def begin(self, *arguments: str) -> None:
        """Start a dbt command; `answer` waits for it."""
        self._say({"invoke": arguments})

    def answer(self) -> dict[str, Any]:
        """What came of the latest question."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the dbt process died: {self._process.wait(30)}"
        answer: dict[str, Any] = json.loads(line)
        assert "failed" not in answer, answer["failed"]
        return answer

    def send_signal(self, number: int) -> None:
        """Ctrl-C, or worse."""
        self._process.send_signal(number)

    def _say(self, question: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)


def main() -> None:
    """The process itself."""
    answers = os.fdopen(os.dup(1), "w")
    folder = Path(os.environ["DBT_PROJECT"])
    os.dup2(os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.chdir(folder)
    import duckdb
    from dbt.cli.main import dbtRunner

    log: list[str] = []
    runner = dbtRunner(callbacks=[lambda event: log.append(event.info.msg)])
    for line in sys.stdin:
        question = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if "sql" in question:
                with duckdb.connect("data.duckdb") as con:
                    answer["rows"] = con.execute(question["sql"]).fetchall()
            else:
                log.clear()
                ended = runner.invoke(question["invoke"])
                found = getattr(ended.result, "results", None) or []
                nodes = [(item.node.name, [str(item.status), item.message]) for item in found if hasattr(item, "node")]
                answer |= {"success": ended.success, "results": dict(nodes), "log": log}
                answer["error"] = str(ended.exception) if ended.exception else None
        except Exception as error:
            answer["failed"] = repr(error)
        print(json.dumps(answer, default=str), file=answers, flush=True)


if __name__ == "__main__":
    main()
