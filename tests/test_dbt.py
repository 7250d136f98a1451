"""Tasks in dbt: models of every kind, limits, budgets, tests, docs, stops; the example as the README runs it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from distil_sql.dbt import PACKAGE
from distil_sql.engine.lane import MAX_ATTEMPTS
from tests.dbt_project import Dbt, command, profile, write
from tests.fake_server import FakeServer

try:
    importlib.metadata.version("dbt-duckdb")
except importlib.metadata.PackageNotFoundError:
    pytest.skip("dbt-duckdb is not installed", allow_module_level=True)

ROOT = Path(__file__).parent.parent
CONCURRENCY = 8
ROWS = 60

TASKS = """
CREATE MODEL generator (TYPE openai, model 'fake', base_url '{url}', seed 1);
CREATE MODEL labeller (TYPE openai, model 'fake', base_url '{url}', temperature 0);
CREATE MODEL keyless (TYPE openai, model 'm', api_key_env 'NO_SUCH_KEY');
CREATE LABELLER TASK judge(instruction VARCHAR, response VARCHAR)
  RETURNS STRUCT(score INTEGER, reason VARCHAR)
  SYSTEM $$You grade answers.$$
  PROMPT $$Instruction: {{{{ instruction }}}}
Answer: {{{{ response }}}}$$;
"""
MODELS = {
    "models/instructions.sql": "select i as id, 'q' || i as instruction from range({{ var('rows', 60) }}) t(i)",
    "models/generations.sql": "{{ config(materialized='distil') }}\n"
    "select id, instruction, text_generation(instruction) as response from {{ ref('instructions') }}",
    "models/a_view.sql": "select *, judge(instruction, response) as verdict from {{ ref('generations') }}",
    "models/a_table.sql": "{{ config(materialized='table') }}\n"
    "select *, judge(instruction, response || ' t') as verdict from {{ ref('generations') }}",
    "models/nested.sql": "{{ config(materialized='distil') }}\n"
    "select id, judge(instruction, text_generation('again ' || instruction)) as verdict from {{ ref('instructions') }}",
    "models/growing.sql": "{{ config(materialized='incremental', unique_key='id') }}\n"
    "{{ config(pre_hook='{{ distil_sql.ask() }}') }}\n"
    "select *, judge(instruction, response || ' i') as verdict from {{ ref('generations') }}\n"
    "{% if is_incremental() %} where id not in (select id from {{ this }} where verdict is not null) {% endif %}",
    "models/in_python.py": "def model(dbt, session):\n    dbt.config(materialized='table')\n"
    "    rows = dbt.ref('generations')\n"
    "    return rows.project(\"id, judge(instruction, response || ' p') AS verdict\")\n",
    "snapshots/history.sql": "{% snapshot history %}\n"
    "{{ config(unique_key='id', strategy='check', check_cols=['verdict'], target_schema='main') }}\n"
    "select id, judge(instruction, response || ' s') as verdict from {{ ref('generations') }}\n{% endsnapshot %}",
    "models/votes.sql": "{{ config(materialized='table') }}\n"
    "select i as item, i % 5 + 1 as a, i % 5 + 1 as b, (i * 7) % 5 + 1 as c, if(i < 3, null, i) as d,\n"
    "    {'score': i % 7} as e, 1 as f from range(30) t(i)",
    "models/schema.yml": """
models:
  - name: a_table
    columns: [{name: verdict, description: "The grade. {{ doc('task_judge') }}"}]
  - name: votes
    columns:
      - name: a
        data_tests:
          - distil_sql.accepted_range: {name: in_range, arguments: {min_value: 1, max_value: 5}}
          - distil_sql.agreement: {name: agrees, arguments: {with: b, at_least: 0.9}}
          - distil_sql.agreement: {name: disagrees, arguments: {with: c, at_least: 0.5, weights: linear}}
          - distil_sql.agreement: {name: never_together, arguments: {with: "nullif(a, a)", at_least: 0.1}}
      - name: d
        data_tests:
          - distil_sql.null_rate: {name: few_nulls, arguments: {at_most: 0.1}}
          - distil_sql.null_rate: {name: many_nulls, arguments: {at_most: 0.05}}
      - name: e
        data_tests:
          - distil_sql.accepted_range: {name: out_of_range, arguments: {field: score, max_value: 5}}
          - distil_sql.agreement: {name: alone, arguments: {item: item, field: score, level: ordinal, at_least: 0.1}}
      - name: f
        data_tests:
          - distil_sql.agreement: {name: same_for_all, arguments: {item: item // 2, at_least: 0.5}}
""",
    "models/tasks.md": "{% docs task_judge %}{% enddocs %}",  # dbt reads it before the plugin writes it
}


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    """One for the whole story below."""
    with FakeServer(latency={"fixed_ms": 5}) as server:
        yield server


@pytest.fixture(scope="module")
def dbt(server: FakeServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dbt]:
    """The project, and dbt in it."""
    config = f"{{files: tasks/*.sql, docs: models/tasks.md, concurrency: {CONCURRENCY}}}"
    files = {**MODELS, "tasks/tasks.sql": TASKS.format(url=server.base_url) + "LOAD TASKS 'more';"}
    files["tasks/more/tone.sql"] = "CREATE LABELLER TASK tone(text VARCHAR) PROMPT $$Tone of {{ text }}$$;"
    files["profiles.yml"] = profile(dev=config, budget=f"{config[:-1]}, max_calls: 20}}")
    closing = "    closing: {type: duckdb, path: data.duckdb, keep_open: false, plugins: "
    files["profiles.yml"] += (
        f"{closing}[{{module: distil_sql.dbt, alias: x, config: {config[:-1]}, max_calls: 3}}}}]}}\n"
    )
    files["profiles.yml"] += "    bare: {type: duckdb, path: data.duckdb}\n"
    with Dbt(write(tmp_path_factory.mktemp("dbt"), files)) as dbt:
        yield dbt


@pytest.fixture(scope="module")
def built(dbt: Dbt, server: FakeServer) -> dict[str, Any]:
    """The first build of everything; `stats` are the server's."""
    assert dbt.invoke("debug")["success"]
    return {**dbt.invoke("build", "--exclude-resource-type", "test"), "stats": server.stats()}


def test_models_of_every_kind_have_their_labels(dbt: Dbt, built: dict[str, Any]) -> None:
    assert built["error"] is None
    assert {status for status, _ in built["results"].values()} == {"success"}, built["results"]
    for table in ("generations", "a_view", "a_table", "nested", "growing", "in_python", "history"):
        column = "response" if table == "generations" else "verdict.score"
        assert dbt.sql(f"SELECT count(*), count({column}) FROM {table}") == [[ROWS, ROWS]], table


def test_four_threads_keep_one_limit_and_no_prompt_is_asked_twice(dbt: Dbt, built: dict[str, Any]) -> None:
    stats = built["stats"]
    assert stats["max_in_flight"] == CONCURRENCY
    assert stats["requests"] == stats["distinct"]


def test_the_distil_materialization_asks_for_all_before_the_table_is_made(built: dict[str, Any]) -> None:
    said = [line for line in built["log"] if "distil-sql: " in line]
    assert any(f"generations: {ROWS} calls, 0 from the ledger" in line for line in said), said
    assert any(f"nested: {2 * ROWS} calls" in line for line in said), said
    assert any(f"growing: {ROWS} calls" in line for line in said), said


def test_an_invocation_is_a_run_like_others(dbt: Dbt, built: dict[str, Any]) -> None:
    run = "(SELECT run_id FROM distil.runs ORDER BY started_at LIMIT 1)"
    assert dbt.invoke("run", "-s", "instructions")["success"]  # the next one ends it
    assert dbt.sql(f"SELECT script, state FROM distil.runs WHERE run_id = {run}") == [["dbt", "done"]]
    lines = dbt.sql(f"SELECT target, state, calls_done, calls_total FROM distil.status WHERE run_id = {run} ORDER BY 1")
    assert lines == [
        [name, "done", calls, calls] for name, calls in (("generations", ROWS), ("growing", ROWS), ("nested", 2 * ROWS))
    ]
    assert dbt.value(f"SELECT count(*) FROM distil.calls WHERE run_id = {run}") >= built["stats"]["requests"]


def test_a_full_refresh_is_free(dbt: Dbt, built: dict[str, Any], server: FakeServer) -> None:
    dbt.sql("SELECT count(verdict) FROM a_view")
    before = server.stats()["requests"]
    again = dbt.invoke("build", "--full-refresh", "--exclude-resource-type", "test")
    assert {status for status, _ in again["results"].values()} == {"success"}
    assert server.stats()["requests"] == before


def test_an_incremental_model_asks_only_for_rows_that_are_new_or_failed(
    dbt: Dbt, built: dict[str, Any], server: FakeServer
) -> None:
    dbt.invoke("build", "--vars", "{rows: 70}", "-s", "instructions generations")
    server.configure(faults=[{"kind": "500", "match": "Answer: .*q6[5-9]", "retry_after": 0.01}])
    server.reset()
    assert dbt.invoke("run", "-s", "growing")["success"]
    assert dbt.sql("SELECT count(*), count(verdict) FROM growing") == [[70, 65]]
    assert server.stats()["status"] == {"200": 5, "500": 5 * MAX_ATTEMPTS}
    server.configure(faults=None)
    server.reset()
    assert dbt.invoke("run", "-s", "growing")["success"]
    assert dbt.sql("SELECT count(*), count(verdict) FROM growing") == [[70, 70]]
    assert server.stats()["requests"] == 5


def test_label_tests_tell_good_labels_from_bad_ones(dbt: Dbt, built: dict[str, Any]) -> None:
    results = dbt.invoke("test", "-s", "votes")["results"]
    verdicts = {name: status for name, (status, _) in results.items()}
    passing = ("in_range", "agrees", "few_nulls", "same_for_all")
    failing = ("disagrees", "never_together", "many_nulls", "out_of_range", "alone")
    assert {name: verdicts[name] for name in passing} == dict.fromkeys(passing, "pass")
    assert {name: verdicts[name] for name in failing} == dict.fromkeys(failing, "fail")
    wrong = dbt.folder / "models/wrong.yml"
    wrong.write_text(
        "models: [{name: a_view, columns: [{name: id, data_tests: [{distil_sql.agreement: {arguments: "
        "{at_least: 0.1}}}]}]}]"
    )
    assert "distil_sql.agreement compares two columns" in dbt.invoke("parse")["error"]
    wrong.unlink()


def test_docs_show_each_prompt(dbt: Dbt, built: dict[str, Any]) -> None:
    dbt.invoke("build", "-s", "a_table")  # with the doc blocks that the plugin has written by now
    assert dbt.invoke("docs", "generate")["success"]
    manifest = json.loads((dbt.folder / "target/manifest.json").read_text())
    catalog = json.loads((dbt.folder / "target/catalog.json").read_text())
    assert "Tone of {{ text }}" in manifest["docs"]["doc.proj.task_tone"]["block_contents"]
    for said in (
        manifest["nodes"]["model.proj.a_table"]["columns"]["verdict"]["description"],
        catalog["nodes"]["model.proj.a_table"]["columns"]["verdict"]["comment"],
    ):
        assert "You grade answers." in said
        assert "Instruction: {{ instruction }}\nAnswer: {{ response }}" in said


def test_definitions_that_did_not_change_are_not_touched(dbt: Dbt, built: dict[str, Any]) -> None:
    query = """SELECT name, version, created_at FROM distil.tasks WHERE origin IS NULL
        UNION ALL SELECT name, version, created_at FROM distil.models ORDER BY ALL"""
    before = dbt.sql(query)
    assert len(before) == 4
    assert dbt.invoke("run", "-s", "instructions", "--target", "budget")["success"]  # another profile: opened anew
    assert dbt.sql(query) == before


def test_a_budget_stops_one_invocation_and_keeps_what_was_paid_for(
    dbt: Dbt, built: dict[str, Any], server: FakeServer
) -> None:
    (dbt.folder / "models/costly.sql").write_text(
        "{{ config(materialized='distil') }} select text_generation('costly ' || i) as x from range(30) t(i)"
    )
    server.reset()
    stopped = dbt.invoke("run", "-s", "costly", "--target", "budget")
    status, message = stopped["results"]["costly"]
    assert status == "error"
    assert "stopped before spending more than max_calls 20 allows (20 calls" in message
    assert "raise the limit and run again to go on" in message
    assert server.stats()["requests"] == 20
    assert dbt.invoke("run", "-s", "costly", "--target", "budget")["success"]
    assert dbt.value("SELECT count(x) FROM costly") == 30
    assert server.stats()["requests"] == 30


def test_a_profile_that_closes_its_database_between_models_keeps_its_budget(
    dbt: Dbt, built: dict[str, Any], server: FakeServer
) -> None:
    for name, how in (("first", "distil"), ("second", "table"), ("third", "distil")):
        query = f"select text_generation('{name} ' || i) as x from range(2) t(i)"
        (dbt.folder / f"models/{name}.sql").write_text(f"{{{{ config(materialized='{how}') }}}} {query}")
    server.reset()
    ended = dbt.invoke("run", "-s", "first second third", "--target", "closing")
    failed = [message for status, message in ended["results"].values() if status == "error"]
    assert len(failed) == 2
    assert all("stopped before spending more than max_calls 3 allows" in message for message in failed), failed
    assert server.stats()["requests"] == 3


# -- stops -------------------------------------------------------------------------------------------------------------


def test_a_build_that_is_interrupted_and_killed_goes_on_where_it_was(fake_server: FakeServer, tmp_path: Path) -> None:
    fake_server.configure(latency={"fixed_ms": 300})
    files = {
        "models/labels.sql": "{{ config(materialized='distil') }}\n"
        "select i, text_generation('q' || i) as label from range(40) t(i)",
        "models/more.sql": "{{ config(materialized='table') }}\n"
        "select i, text_generation('r' || i) as label from range(24) t(i)",
        "tasks.sql": TASKS.format(url=fake_server.base_url),
        "profiles.yml": profile(dev=f"{{files: tasks.sql, concurrency: {CONCURRENCY}}}"),
    }
    folder = write(tmp_path, files)
    with Dbt(folder) as dbt:
        dbt.begin("build")
        fake_server.wait_for(lambda stats: stats["requests"] >= 12, 60)
        dbt.send_signal(signal.SIGINT)
        assert not dbt.answer()["success"]
        kept = dbt.value("SELECT count(*) FROM distil.calls")
        assert fake_server.stats()["answered"] - kept <= CONCURRENCY  # what was in flight had a second to land
        dbt.begin("build")
        fake_server.wait_for(lambda stats: stats["requests"] >= 36, 60)
        dbt.send_signal(signal.SIGKILL)
    assert dbt.returncode == -signal.SIGKILL
    process = command(folder, "build")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    stats = fake_server.stats()
    assert stats["answered_again"] <= CONCURRENCY
    with duckdb.connect(str(folder / "data.duckdb")) as con:
        assert con.execute("SELECT count(label) FROM labels").fetchone() == (40,)
        assert con.execute("SELECT count(label) FROM more").fetchone() == (24,)


# -- wrong things ------------------------------------------------------------------------------------------------------

WRONG = {
    "a typo": ({"max_call": 3}, r"profiles.yml has an unknown option 'max_call'; did you mean 'max_calls'\?"),
    "a wrong value": ({"on_error": "stop"}, r"on_error takes 'null' or 'fail', not 'stop'"),
    "no such file": (
        {"files": "task.sql"},
        r"files names 'task.sql', where there is no .sql file; did you mean 'tasks",
    ),
    "a typo in a task": ({"files": "wrong.sql"}, r"^wrong.sql:2:36: expected one of RETURNS, .* not 'RETURN'$"),
    "other SQL": (
        {"files": "other.sql"},
        r"^other.sql:1:1: only CREATE MODEL, CREATE … TASK and LOAD TASKS belong",
    ),
    "a PARSE that DuckDB cannot read": ({"files": "parse.sql"}, r"^parse.sql:1:\d+: task 'g': its PARSE is not valid"),
}
TRY = """
import json, sys, duckdb
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt_common.exceptions import DbtRuntimeError
said = {}
for name, config in json.loads(sys.argv[1]).items():
    con = duckdb.connect()
    try:
        BasePlugin.create("distil_sql.dbt", config=config).configure_connection(con)
    except DbtRuntimeError as error:
        said[name] = error.msg
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the plugin says of each wrong thing."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "tasks.sql").write_text(TASKS.format(url="http://localhost:1/v1"))
    (folder / "wrong.sql").write_text("-- a task\nCREATE LABELLER TASK g(x VARCHAR)  RETURN INTEGER PROMPT $$x$$;")
    (folder / "other.sql").write_text("CREATE TABLE t (i INTEGER);")
    (folder / "parse.sql").write_text("CREATE LABELLER TASK g(x VARCHAR) PROMPT $$x$$ PARSE $$nothing(response)$$;")
    given = json.dumps({name: config for name, (config, _) in WRONG.items()})
    ended = subprocess.run([sys.executable, "-c", TRY, given], cwd=folder, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    answers: dict[str, str] = json.loads(ended.stdout)
    return answers


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_in_a_profile_is_said_in_one_sentence(said: dict[str, str], name: str) -> None:
    assert re.search(WRONG[name][1], said[name]), said[name]
    assert "\n" not in said[name]


def test_a_missing_key_is_said_in_dbts_own_log(dbt: Dbt, built: dict[str, Any]) -> None:
    sentence = "model 'keyless' needs the environment variable NO_SUCH_KEY: set it to your API key"
    for how in ("distil", "table"):
        model = dbt.folder / f"models/keyless_{how}.sql"
        model.write_text(f"{{{{ config(materialized='{how}') }}}} select text_generation('q', model := 'keyless') as x")
    ended = dbt.invoke("run", "-s", "keyless_distil keyless_table")
    for name, result in ended["results"].items():
        assert result == ["error", f"Runtime Error in model {name} (models/{name}.sql)\n  {sentence}"]
    assert not [line for line in ended["log"] if "Traceback" in line]


def test_a_profile_without_the_plugin_is_told_to_have_it(dbt: Dbt, built: dict[str, Any]) -> None:
    ended = dbt.invoke("run", "-s", "generations", "--target", "bare")
    assert "target bare of profiles.yml has no tasks: add plugins:" in ended["results"]["generations"][1]


# -- the example -------------------------------------------------------------------------------------------------------


def test_the_readmes_commands_build_the_example(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    import shutil

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- command: dbt -->\n```sh\n(.*?)```", readme, re.DOTALL)
    assert found is not None
    lines = found[1].strip().splitlines()
    assert 'pip install -e ".[dbt,llama]"' in lines[0]
    (tmp_path / "distil_sql").symlink_to(ROOT / "distil_sql")
    tracked = shutil.ignore_patterns("*.duckdb*", "target", "dbt_packages", "logs", "package-lock.yml")
    shutil.copytree(ROOT / "examples/dbt", tmp_path / "examples/dbt", ignore=tracked)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ended = subprocess.run(
        ["bash", "-e", "-c", "\n".join(lines[1:])],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ended.returncode == 0, ended.stdout
    assert "Completed successfully" in ended.stdout
    assert "ERROR=0 SKIP=0" in ended.stdout
    with duckdb.connect(str(tmp_path / "examples/dbt/data.duckdb")) as con:
        counts = [con.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("labels", "preferences")]
        assert counts[0] is not None
        assert counts[0][0] >= 50
        assert counts[1] is not None
        assert counts[1][0] >= 1
        assert con.execute("SELECT count(*) FROM labels WHERE verdict.score IS NULL").fetchone() == (0,)
    documents = "examples/dbt/models/tasks.md"
    assert (tmp_path / documents).read_text() == (ROOT / documents).read_text()


def test_the_command_names_the_package_for_packages_yml() -> None:
    ended = subprocess.run([sys.executable, "-m", "distil_sql", "dbt"], capture_output=True, text=True, timeout=60)
    assert ended.stdout == f'packages:\n  - local: "{PACKAGE}"\n'
    assert (PACKAGE / "dbt_project.yml").is_file()
