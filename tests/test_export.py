"""An export writes what a trainer, a spreadsheet or Argilla reads, whole or not at all."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pytest

import distil_sql
from tests.command import query
from tests.inside import distil
from tests.macros import graded


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "x.duckdb"
    with distil_sql.connect(path) as con:
        graded(con)
        con.execute("CREATE VIEW chosen AS FROM to_dpo(graded, instruction, response, verdict.score)")
        con.execute(
            """CREATE TABLE odd AS SELECT uuid() AS id, 'red'::ENUM('red', 'blue') AS colour, '{"a": 1}'::JSON AS raw,
            [{'id': uuid(), 'n': 1::HUGEINT}] AS list, MAP {'k': 2} AS map, DATE '2026-01-01' AS day,
            NULL::INTEGER AS none,
            12.5::DECIMAL(5, 2) AS price, 'a "quoted", text' || chr(10) || 'with lines' AS text FROM range(3)"""
        )
    return path


def _export(database: Path, *arguments: str | Path) -> str:
    ended = distil("export", *arguments, "-d", database)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "json", "csv"])
def test_a_table_comes_back_as_it_was(ending: str, database: Path, tmp_path: Path) -> None:
    file = tmp_path / f"out.{ending}"
    assert "120 rows" in _export(database, "graded", "-o", file)
    expected = query(database, "SELECT id, response, verdict.score FROM graded")
    score = "(verdict->>'score')::INTEGER" if ending == "csv" else "verdict.score"
    assert duckdb.sql(f"SELECT id, response, {score} FROM '{file}'").fetchall() == expected
    assert [found.name for found in tmp_path.glob("*.part")] == []


def test_jsonl_is_one_object_a_line_and_nested(database: Path, tmp_path: Path) -> None:
    _export(database, "graded", "-o", tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert lines[0] == {"id": 0, "instruction": 'Question 0 „wie"? 🦆', "response": "answer 0",
                        "verdict": {"score": 1, "reason": "because"}}  # fmt: skip


def test_nested_columns_are_json_in_csv(database: Path, tmp_path: Path) -> None:
    _export(database, "odd", "-o", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert json.loads(row["list"])[0]["n"] == 1
    assert row["text"] == 'a "quoted", text\nwith lines'
    assert (row["colour"], row["none"], json.loads(row["raw"])) == ("red", "", {"a": 1})


def test_types_that_others_cannot_read_become_text(database: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    _export(database, "odd", "-o", tmp_path / "out.parquet")
    loaded = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "out.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    row = loaded[0]
    assert (row["colour"], json.loads(row["raw"]), row["list"][0]["n"]) == ("red", {"a": 1}, 1)
    assert row["map"] == [{"key": "k", "value": 2}]
    assert len(row["id"]) == len(row["list"][0]["id"]) == 36


@pytest.mark.parametrize(
    ("format_", "options", "columns"),
    [
        ("sft", ["--best"], ["messages"]),
        ("prompt-completion", ["--min-score", "4"], ["prompt", "completion"]),
        ("dpo", [], ["prompt", "chosen", "rejected", "score_chosen", "score_rejected"]),
        ("dpo", ["--strategy", "random", "--keep-ties", "--margin", "0", "--seed", "3"], None),
        ("orpo", ["--system", "'Be brief.'"], None),
        ("reward", ["--strategy", "worst"], ["chosen", "rejected", "margin"]),
        ("kto", ["--wanted", "verdict.score >= 4"], ["prompt", "completion", "label"]),
    ],
)
def test_a_format_finds_its_columns(
    format_: str, options: list[str], columns: list[str] | None, database: Path, tmp_path: Path
) -> None:
    _export(database, "graded", "-o", tmp_path / "out.jsonl", "-f", format_, *options)
    rows = duckdb.sql(f"FROM '{tmp_path}/out.jsonl'")
    assert len(rows) > 20
    assert columns is None or rows.columns == columns


def test_a_table_in_the_right_shape_is_taken_as_it_is(database: Path, tmp_path: Path) -> None:
    _export(database, "chosen", "-o", tmp_path / "out.parquet", "--format", "dpo")
    assert duckdb.sql(f"FROM '{tmp_path}/out.parquet'").fetchall() == query(database, "FROM chosen")


def test_a_split_shares_no_prompt(database: Path, tmp_path: Path) -> None:
    told = _export(database, "graded", "-o", tmp_path / "out.jsonl", "-f", "sft", "--test", "0.25")
    assert told.count("rows in") == 2
    train, test = (
        set(duckdb.sql(f"SELECT messages[1].content FROM '{tmp_path}/{name}'").fetchall())
        for name in ("out.jsonl", "out.test.jsonl")
    )
    assert len(train | test) == 40
    assert train
    assert test
    assert not train & test


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing", "-o", "x.csv"], "there is no table 'nothing'"),
        (["grated", "-o", "x.csv"], "did you mean 'graded'?"),
        (["graded", "-o", "x.xlsx"], "should end in .parquet"),
        (["graded", "-o", "no/such/folder/x.csv"], "its folder does not exist"),
        (["graded", "-o", "x.csv", "-f", "kto"], "give --wanted a condition"),
        (["odd", "-o", "x.csv", "-f", "dpo"], "give --prompt"),
        (["graded", "-o", "x.csv", "--margin", "1"], "give a --format"),
        (["graded", "-o", "x.csv", "-f", "sft", "--margin", "1"], "--margin is not for --format sft"),
        (["graded", "-o", "x.csv", "-f", "dpo", "--prompt", "instructions"], "instructions"),
        (["graded", "-o", "x.csv", "-f", "argilla", "--score", "1"], "--score is not for --format argilla"),
        (["graded", "-o", "x.csv", "-f", "llama"], "Invalid value"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_no_file(arguments: list[str], said: str, database: Path) -> None:
    arguments = [str(database.parent / each) if each.startswith("x.") else each for each in arguments]
    ended = distil("export", *arguments, "-d", database)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(database.parent.glob("x.csv*"))


def test_a_row_that_cannot_be_read_leaves_no_file_behind(database: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(database)) as con:
        con.execute("CREATE VIEW broken AS SELECT CASE WHEN id = 30 THEN error('oh no') ELSE id END AS id FROM graded")
    ended = distil("export", "broken", "-o", tmp_path / "out.csv", "-d", database)
    assert ended.returncode == 1
    assert "oh no" in ended.stderr
    assert not list(tmp_path.glob("out.csv*"))


# -- Argilla -----------------------------------------------------------------------------------------------------------

LABELLED = """CREATE TABLE labelled AS SELECT i AS id, 'say ' || i AS instruction,
    [{'role': 'user', 'content': 'hi'}] AS chat,
    {'score': i % 5 + 1, 'reason': 'so'} AS verdict,
    ['calm', 'sad', 'glad'][i % 3 + 1]::ENUM('calm', 'sad', 'glad') AS mood,
    ['x']::ENUM('x', 'y')[] AS tags, i % 2 = 0 AS fine, i * 0.5::DOUBLE AS cost, 1000 + i AS tokens,
    CASE WHEN i > 0 THEN 'gpt' END AS note FROM range(4) t(i)"""


@pytest.fixture
def written(database: Path, tmp_path: Path) -> tuple[dict[str, Any], list[dict[str, Any]], Path]:
    with duckdb.connect(str(database)) as con:
        con.execute(LABELLED)
    _export(database, "labelled", "-o", tmp_path / "argilla", "-f", "argilla")
    settings, records = (json.loads((tmp_path / "argilla" / f"{n}.json").read_text()) for n in ("settings", "records"))
    return settings, records, tmp_path / "argilla"


def test_types_decide_what_argilla_asks(written: tuple[dict[str, Any], list[dict[str, Any]], Path]) -> None:
    settings, records, _ = written
    asked = {question["name"]: question["settings"]["type"] for question in settings["questions"]}
    assert asked == {
        "verdict_score": "rating", "verdict_reason": "text", "mood": "label_selection",
        "tags": "multi_label_selection", "fine": "label_selection",
    }  # fmt: skip
    assert {field["name"]: field["type"] for field in settings["fields"]} == {
        "instruction": "text", "chat": "chat", "note": "text"
    }  # fmt: skip
    assert {each["name"]: each["settings"]["type"] for each in settings["metadata"]} == {
        "cost": "float",
        "tokens": "integer",
    }
    assert records[0]["fields"] == {"instruction": "say 0", "chat": [{"role": "user", "content": "hi"}]}
    assert records[1]["suggestions"]["fine"]["value"] == "false"
    assert [record["id"] for record in records] == ["0", "1", "2", "3"]


def test_records_and_settings_are_as_the_client_builds_them(
    written: tuple[dict[str, Any], list[dict[str, Any]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rg = pytest.importorskip("argilla")
    from argilla.client import Argilla

    monkeypatch.setattr(Argilla, "_get_default", classmethod(lambda cls: mock.MagicMock()))
    settings, records, folder = written
    built = rg.Settings(
        fields=[
            rg.TextField("instruction"),
            rg.ChatField("chat", required=False),
            rg.TextField("note", required=False),
        ],
        questions=[
            rg.RatingQuestion("verdict_score", values=[1, 2, 3, 4, 5]),
            rg.TextQuestion("verdict_reason", required=False),
            rg.LabelQuestion("mood", labels=["calm", "sad", "glad"], required=False),
            rg.MultiLabelQuestion("tags", labels=["x", "y"], required=False),
            rg.LabelQuestion("fine", labels=["true", "false"], required=False),
        ],
        metadata=[rg.FloatMetadataProperty("cost"), rg.IntegerMetadataProperty("tokens")],
    )
    assert settings == json.loads(json.dumps(built.serialize()))
    assert rg.Settings.from_json(folder / "settings.json").serialize() == built.serialize()
    for record in records:
        own = rg.Record(
            id=record["id"], fields=record["fields"], metadata=record["metadata"],
            suggestions=[rg.Suggestion(name, given["value"]) for name, given in record["suggestions"].items()],
        )  # fmt: skip
        assert own.to_dict() == record == rg.Record.from_dict(record).to_dict()


def test_ids_that_repeat_are_not_used(database: Path, tmp_path: Path) -> None:
    _export(database, "graded", "-o", tmp_path / "argilla", "-f", "argilla")
    records = json.loads((tmp_path / "argilla" / "records.json").read_text())
    assert len({record["id"] for record in records}) == 120


def test_a_table_without_labels_is_not_for_argilla(database: Path, tmp_path: Path) -> None:
    ended = distil("export", "chosen", "-o", tmp_path / "argilla", "-f", "argilla", "-d", database)
    assert ended.returncode == 2
    assert "nothing to ask" in ended.stderr
