"""Labels become training sets: the right rows, in the columns and shapes that `datasets` and TRL read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.macros import graded, with_macros

CALLS = {
    "sft": "to_sft(graded, instruction, response, system := 'Be brief.')",
    "prompt_completion": "to_prompt_completion(graded, instruction, response)",
    "dpo": "to_dpo(graded, instruction, response, verdict.score)",
    "dpo_chat": "to_dpo(graded, user_message(instruction), assistant_message(response), verdict.score)",
    "orpo": "to_orpo(graded, instruction, response, verdict.score, system := 'Be brief.')",
    "reward": "to_reward(graded, instruction, response, verdict.score)",
    "kto": "to_kto(graded, instruction, response, verdict.score >= 4)",
}


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = with_macros("training_sets")
    graded(con)
    return con


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found = con.execute(query)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _scores(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, int]]:
    scores: dict[str, dict[str, int]] = {}
    for prompt, response, score in con.execute("SELECT instruction, response, verdict.score FROM graded").fetchall():
        if score is not None:
            scores.setdefault(prompt, {})[response] = score
    return scores


def test_worst_sets_the_best_answer_against_the_worst(con: duckdb.DuckDBPyConnection) -> None:
    scores = _scores(con)
    rows = _rows(con, f"FROM {CALLS['dpo']}")
    assert {row["prompt"] for row in rows} == {p for p, s in scores.items() if len(set(s.values())) > 1}
    for row in rows:
        of = scores[row["prompt"]]
        assert (row["score_chosen"], row["score_rejected"]) == (max(of.values()), min(of.values()))
        assert of[row["chosen"]] == row["score_chosen"]
        assert of[row["rejected"]] == row["score_rejected"]


def test_random_draws_from_the_worse_ones_and_the_seed_decides(con: duckdb.DuckDBPyConnection) -> None:
    def drawn(seed: int) -> list[dict[str, Any]]:
        call = f"to_dpo(graded, instruction, response, verdict.score, strategy := 'random', seed := {seed})"
        return _rows(con, f"FROM {call}")

    scores = _scores(con)
    assert drawn(1) == drawn(1)
    assert len({json.dumps(drawn(seed)) for seed in range(5)}) == 5
    assert all(scores[row["prompt"]][row["rejected"]] < max(scores[row["prompt"]].values()) for row in drawn(1))
    worst = {(row["prompt"], row["rejected"]) for row in _rows(con, f"FROM {CALLS['dpo']}")}
    assert {(row["prompt"], row["rejected"]) for row in drawn(1)} - worst


def test_the_order_of_rows_changes_no_pair(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("CREATE TABLE turned AS FROM graded ORDER BY md5(response)")
    for strategy in ("worst", "random", "all"):
        call = f"to_dpo({{}}, instruction, response, verdict.score, strategy := '{strategy}', keep_ties := true)"
        one, other = (
            sorted(json.dumps(row) for row in _rows(con, f"FROM {call.format(table)}"))
            for table in ("graded", "turned")
        )
        assert one == other


def test_a_margin_and_ties(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        "CREATE TABLE t AS SELECT * FROM (VALUES ('p', 'a', 3), ('p', 'b', 3), ('q', 'a', 5), ('q', 'b', 4)) t(p, r, s)"
    )
    assert [row["prompt"] for row in _rows(con, "FROM to_dpo(t, p, r, s)")] == ["q"]
    assert [row["prompt"] for row in _rows(con, "FROM to_dpo(t, p, r, s, keep_ties := true)")] == ["p", "q"]
    assert _rows(con, "FROM to_dpo(t, p, r, s, margin := 2)") == []
    assert _rows(con, "FROM to_dpo(t, p, r, s, keep_ties := true, margin := 1)")[0]["prompt"] == "q"


def test_all_gives_every_pair_and_no_answer_meets_itself(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        "CREATE TABLE t AS SELECT 'p' AS p, unnest(['a', 'b', 'c', 'c', NULL]) AS r, unnest([1, 2, 3, 3, 9]) AS s"
    )
    rows = _rows(con, "FROM to_dpo(t, p, r, s, strategy := 'all')")
    assert {(row["chosen"], row["rejected"]) for row in rows} == {("c", "b"), ("c", "a"), ("b", "a")}


def test_an_unknown_strategy_says_which_there_are(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.Error, match="no strategy 'best': use 'worst', 'random' or 'all'"):
        con.execute("FROM to_dpo(graded, instruction, response, verdict.score, strategy := 'best')").fetchall()


def test_sft_takes_the_best_of_each_prompt_or_those_above_a_score(con: duckdb.DuckDBPyConnection) -> None:
    scores = _scores(con)
    best = _rows(con, "FROM to_sft(graded, instruction, response, score := verdict.score, best := true)")
    assert len(best) == len(scores)
    for row in best:
        user, assistant = row["messages"]
        assert scores[user["content"]][assistant["content"]] == max(scores[user["content"]].values())
    above = _rows(con, "FROM to_sft(graded, instruction, response, score := verdict.score, min_score := 4)")
    assert len(above) == sum(score >= 4 for of in scores.values() for score in of.values())


def test_kto_leaves_out_what_has_no_verdict(con: duckdb.DuckDBPyConnection) -> None:
    rows = _rows(con, f"FROM {CALLS['kto']}")
    assert len(rows) == sum(len(of) for of in _scores(con).values())
    assert {type(row["label"]) for row in rows} == {bool}


def test_a_split_keeps_prompts_together_and_holds_when_rows_come(con: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT i, split_of(i, test := 0.1, validation := 0.2) FROM range({}) t(i)"
    small, large = (dict(con.execute(query.format(n)).fetchall()) for n in (1000, 20000))
    assert all(large[i] == split for i, split in small.items())
    share = {split: list(large.values()).count(split) / 20000 for split in ("train", "validation", "test")}
    assert share == pytest.approx({"train": 0.7, "validation": 0.2, "test": 0.1}, abs=0.01)
    assert con.execute("SELECT split_of(NULL)").fetchone() == (None,)
    seeded = "SELECT list(split_of(i, test := 0.5, seed := {})) FROM range(50) t(i)"
    assert con.execute(seeded.format(1)).fetchone() != con.execute(seeded.format(2)).fetchone()


@pytest.mark.parametrize("name", CALLS)
def test_datasets_loads_what_is_written(name: str, con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    expected = _rows(con, f"FROM {CALLS[name]}")
    for kind, builder in (("parquet", "parquet"), ("json", "json")):
        file = str(tmp_path / f"{name}.{kind}")
        con.execute(f"COPY (FROM {CALLS[name]}) TO '{file}' (FORMAT {kind})")
        loaded = datasets.load_dataset(builder, data_files=file, split="train", cache_dir=str(tmp_path / "cache"))
        assert [dict(row) for row in loaded] == expected


COLUMNS = {
    "sft": {"messages"},
    "prompt_completion": {"prompt", "completion"},
    "dpo": {"prompt", "chosen", "rejected"},
    "dpo_chat": {"prompt", "chosen", "rejected"},
    "orpo": {"prompt", "chosen", "rejected"},
    "reward": {"chosen", "rejected"},
    "kto": {"prompt", "completion", "label"},
}


@pytest.mark.parametrize("name", CALLS)
def test_a_format_has_the_columns_that_trl_documents(name: str, con: duckdb.DuckDBPyConnection) -> None:
    row = _rows(con, f"FROM {CALLS[name]}")[0]
    assert set(row) - {"score_chosen", "score_rejected", "margin"} == COLUMNS[name]
    for value in row.values():
        if isinstance(value, list):
            assert all(set(message) == {"role", "content"} for message in value)
