"""A push sends the rows and a card that tells how they were made, and never what was not meant to be told."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from distil_sql.export.lineage import public
from tests import command
from tests.fake_server import FakeServer
from tests.hub_server import HubServer
from tests.inside import distil

SCRIPT = """
CREATE OR REPLACE LABELLER TASK grade(instruction VARCHAR, response VARCHAR)
  RETURNS STRUCT(score INTEGER, reason VARCHAR)
  SYSTEM $$You grade answers.$$ PROMPT $${{ instruction }} {{ response }}$$;
CREATE OR REPLACE LABELLER TASK unused(x VARCHAR) RETURNS INTEGER PROMPT $${{ x }}$$;
CREATE OR REPLACE TABLE prompts AS SELECT i AS id, 'say ' || i AS instruction FROM range(20) t(i);
CREATE OR REPLACE TABLE generations AS SELECT *, unnest(text_generation_n(instruction, n := 2)) AS response
FROM prompts;
CREATE OR REPLACE TABLE labelled AS SELECT *, grade(instruction, response) AS verdict FROM generations;
CREATE OR REPLACE TABLE other AS SELECT unused('x') AS y;
CREATE OR REPLACE TABLE door AS SELECT 'postgres://me:geheim@host/db' AS address;
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("push")
    with FakeServer() as server:
        models = command.model(server, price_in=1, price_out=2, temperature=0.5)
        models += command.model(server, "labeller", seed=1)
        (folder / "p.sql").write_text(models + SCRIPT)
        ended = distil("run", folder / "p.sql", "-d", folder / "x.duckdb")
    assert ended.returncode == 0, ended.stderr
    return folder / "x.duckdb"


@pytest.fixture
def database(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path / "x.duckdb"))


@pytest.fixture
def hub() -> Iterator[HubServer]:
    pytest.importorskip("huggingface_hub")
    with HubServer() as server:
        yield server


def _push(hub: HubServer, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # a process of its own: the client reads its settings when it is imported
    told = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_testtoken", "HF_HUB_DISABLE_XET": "1"}
    return command.distil("push", *arguments, **told)


def test_a_dry_run_writes_the_folder_and_sends_nothing(database: Path, tmp_path: Path) -> None:
    ended = distil("push", "labelled", "org/name", "--dry-run", tmp_path / "up", "-d", database)
    assert ended.returncode == 0, ended.stderr
    files = sorted(str(file.relative_to(tmp_path / "up")) for file in (tmp_path / "up").rglob("*.*"))
    assert files == ["README.md", "data/train-00000-of-00001.parquet", "pipeline.sql"]
    rows = duckdb.sql(f"FROM '{tmp_path}/up/data/*.parquet'")
    assert rows.columns == ["id", "instruction", "response", "verdict"]
    assert rows.fetchall() == duckdb.connect(str(database)).execute("FROM labelled").fetchall()


def test_the_card_tells_how_the_rows_were_made(database: Path, tmp_path: Path) -> None:
    distil("push", "labelled", "org/name", "--dry-run", tmp_path / "up", "-d", database)
    card = (tmp_path / "up" / "README.md").read_text()
    assert "40 rows of the table `labelled`" in card
    assert re.search(r"\| `grade` \| labeller \| 1 \| `[0-9a-f]{12}` \| `labeller` \| 20 \| 0\.0% \|", card)
    assert re.search(
        r"\| `text_generation` \| generator \| \d+ \| `[0-9a-f]{12}` \| `generator` \| 40 \|.*\| 0\.\d+ \|", card
    )
    assert "temperature 0.5" in card
    assert re.search(r"\| `verdict` \| `STRUCT.*` \| 0\.0% \|", card)
    assert re.search(r"\| `verdict\.score` \| `INTEGER` \| 0\.0% \| \d+ \| -?[\de+]+ to .*, mean ", card)
    assert re.search(r"\| `verdict\.reason` \| `VARCHAR` \| 0\.0% \| \d+ \| \d+ to \d+, mean .* characters \|", card)
    assert "| `unused` |" not in card  # another table's task
    assert "CREATE OR REPLACE TABLE labelled AS SELECT *, grade" in card
    assert (tmp_path / "up" / "pipeline.sql").read_text().strip() in card


def test_a_licence_is_there_only_if_it_was_given(database: Path, tmp_path: Path) -> None:
    distil("push", "labelled", "org/name", "--dry-run", tmp_path / "a", "-d", database)
    distil("push", "labelled", "org/name", "--dry-run", tmp_path / "b", "--license", "cc-by-4.0", "-d", database)
    assert "licen" not in (tmp_path / "a" / "README.md").read_text().lower()
    assert 'license: "cc-by-4.0"' in (tmp_path / "b" / "README.md").read_text()


def test_the_card_is_what_datasets_and_the_hub_read(database: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    cards = pytest.importorskip("huggingface_hub")
    up = tmp_path / "up"
    ended = distil("push", "labelled", "org/name", "-f", "sft", "--test", "0.3", "--dry-run", up, "-d", database)
    assert ended.returncode == 0, ended.stderr
    card = cards.DatasetCard.load(up / "README.md")
    assert card.data.to_dict()["configs"][0]["config_name"] == "default"
    assert "license" not in card.data.to_dict()
    loaded = datasets.load_dataset(str(up), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "test"}
    assert loaded["train"].column_names == ["messages"]
    prompts = [{row["messages"][0]["content"] for row in loaded[part]} for part in ("train", "test")]
    assert not prompts[0] & prompts[1]


def test_the_card_measures_what_is_nested(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "n.duckdb")) as con:
        con.execute("""CREATE TABLE n AS
            SELECT i > 1 AS good, [{'role': 'user', 'content': repeat('x', i)}] AS messages,
            CASE WHEN i > 2 THEN {'a': {'b': [i, i]}, 'c c': NULL::VARCHAR} END AS s FROM range(1, 5) t(i)""")
    ended = distil("push", "n", "org/name", "--dry-run", tmp_path / "up", "-d", tmp_path / "n.duckdb")
    assert ended.returncode == 0, ended.stderr
    card = (tmp_path / "up" / "README.md").read_text()
    for line in (
        "| `good` | `BOOLEAN` | 0.0% | 2 | true 75.0% |",
        "| 0.0% | 4 | 1 to 1, mean 1 items |",
        "| `messages[].role` | `VARCHAR` | 0.0% | 1 | 4 to 4, mean 4 characters |",
        "| `messages[].content` | `VARCHAR` | 0.0% | 4 | 1 to 4, mean 2.5 characters |",
        "| `s.a.b` | `BIGINT[]` | 0.0% | 2 | 2 to 2, mean 2 items |",
        "| `s.c c` | `VARCHAR` | 100.0% | 0 |  |",
    ):
        assert line in card, line


def test_a_test_split_without_rows_is_left_out_and_one_without_a_class_is_told(tmp_path: Path) -> None:
    path = tmp_path / "few.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute(
            "CREATE TABLE few AS SELECT 'q' || i AS prompt, 'a' AS completion, true AS label FROM range(3) t(i)"
        )
        con.execute("""CREATE TABLE rare AS SELECT 'q' || i AS prompt, 'a' AS completion, i <> 7 AS label
            FROM range(100) t(i)""")
        con.execute(
            "CREATE TABLE same AS SELECT 'q' AS prompt, 'a' || i AS completion, true AS label FROM range(9) t(i)"
        )
    ended = distil("push", "few", "org/name", "--test", "0.01", "--dry-run", tmp_path / "up", "-d", path)
    assert ended.returncode == 0, ended.stderr
    assert "no row fell into test" in ended.stderr
    assert [file.name for file in (tmp_path / "up" / "data").iterdir()] == ["train-00000-of-00001.parquet"]
    assert "split: test" not in (tmp_path / "up" / "README.md").read_text()
    ended = distil("export", "few", "-o", tmp_path / "few.jsonl", "--test", "0.01", "-d", path)
    assert (ended.returncode, ended.stdout.count("rows in")) == (0, 1)
    assert not (tmp_path / "few.test.jsonl").exists()
    ended = distil("export", "rare", "-o", tmp_path / "rare.jsonl", "-f", "kto", "--test", "0.1", "-d", path)
    assert "test has no row where label is false" in ended.stderr
    ended = distil("export", "same", "-o", tmp_path / "same.jsonl", "--test", "0.999", "-d", path)
    assert ended.returncode == 2
    assert "leaves no row to train on" in ended.stderr


def test_what_looks_like_a_key_is_masked() -> None:
    assert public("CREATE OR REPLACE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')") == "-- a CREATE SECRET was here"
    for statement, hidden in (
        ("ATTACH 'postgres://me:geheim@host/db'", "geheim"),
        ("ATTACH 'host=h password=geheim user=u' (TYPE postgres)", "geheim"),
        ("CREATE MODEL m (TYPE openai, extra {'api_key': 'geheim'})", "geheim"),
        ("SELECT 'hf_abcdefghijklmnop'", "abcdefghijklmnop"),
        ("SELECT 'sk-proj-abcdefghijklmnop'", "abcdefghijklmnop"),
    ):
        assert hidden in statement
        assert hidden not in public(statement)
    for statement in ("CREATE MODEL m (TYPE openai, api_key_env 'MY_KEY', max_tokens 16)", "SELECT secretary FROM t"):
        assert public(statement) == statement


def test_the_card_has_no_login(database: Path, tmp_path: Path) -> None:
    distil("push", "labelled", "org/name", "--dry-run", tmp_path / "up", "-d", database)
    for file in ("README.md", "pipeline.sql"):
        assert "geheim" not in (tmp_path / "up" / file).read_text()


def test_a_push_makes_the_repository_and_sends_the_same_files(database: Path, tmp_path: Path, hub: HubServer) -> None:
    distil("push", "labelled", "org/name", "--dry-run", tmp_path / "up", "-d", database)
    ended = _push(hub, "labelled", "org/name", "--private", "--message", "first", "-d", database)
    assert ended.returncode == 0, ended.stderr
    assert f"{hub.url}/datasets/org/name" in ended.stdout
    assert hub.repositories["org/name"]["type"] == "dataset"
    assert hub.repositories["org/name"].get("visibility") == "private" or hub.repositories["org/name"].get("private")
    assert hub.messages == ["first"]
    assert hub.tokens == {"Bearer hf_testtoken", None} or hub.tokens == {"Bearer hf_testtoken"}
    for name, sent in hub.files.items():
        assert sent == (tmp_path / "up" / name).read_bytes(), name
    assert set(hub.files) == {"README.md", "pipeline.sql", "data/train-00000-of-00001.parquet"}


@pytest.mark.parametrize("status", [401, 403, 409, 500])
def test_a_refusal_is_one_sentence(status: int, database: Path, hub: HubServer) -> None:
    hub.refuse = status
    ended = _push(hub, "labelled", "org/name", "-d", database)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert "hf_testtoken" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["labelled", "name"], "write owner/name"),
        (["labeled", "org/name"], "did you mean 'labelled'"),
        (["labelled", "org/name", "-f", "dpo", "--score", "verdict.nothing"], "nothing"),
        (["labelled", "org/name", "--split-by", "id"], "add --test"),
    ],
)
def test_what_cannot_be_is_a_usage_error(arguments: list[str], said: str, database: Path, tmp_path: Path) -> None:
    ended = distil("push", *arguments, "--dry-run", tmp_path / "up", "-d", database)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_folder_that_is_not_empty_is_left_alone(database: Path, tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "mine.txt").write_text("x")
    ended = distil("push", "labelled", "org/name", "--dry-run", tmp_path / "up", "-d", database)
    assert ended.returncode == 2
    assert [file.name for file in (tmp_path / "up").iterdir()] == ["mine.txt"]
