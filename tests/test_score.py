"""Score: one verdict per sample whatever the answer, and no verdict at all on files that do not belong together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from envsim_core import Failure, Outcome, verdicts
from envsim_core.errors import BadFile
from envsim_core.records import Action, Completion, Sample, write_rows
from envsim_core.stages.score import SCHEMA, score_completions

RIGHT = '{"feedback": {"success": true}, "config_changes": [{"type": "modify", "path": ["n"], "value": 2}]}'
ANSWERS: dict[str, str | None] = {
    "right": RIGHT,
    "wrong": RIGHT.replace("2", "3"),
    "spam": RIGHT.replace("]}", ', {"type": "add", "path": ["x"], "value": 1}]}', 1).replace('["n", ', '["n"], '),
    "prose": "I do not know.",
    "filtered": "",
    "failed": None,
}


def sample(sample_id: str) -> Sample:
    return Sample(
        sample_id=sample_id,
        env_id="env",
        task_id="task",
        step=1,
        stratum="delta_1",
        change_count=1,
        code_hash="code",
        action=Action(name="tool", arguments={}),
        observation="{'success': True}",
        state_before={"n": 1, "text": "\ud800"},
        state_after={"n": 2, "text": "\ud800"},
    )


def completion(sample_id: str, text: str | None) -> Completion:
    reason = "the server was away" if text is None else ""
    return Completion(sample_id=sample_id, model="m", key="k", completion=text, finish_reason="stop", reason=reason)


def score(folder: Path, samples: list[Sample], answers: list[Completion]) -> tuple[pl.DataFrame, dict[str, Any]]:
    paths = [folder / name for name in ("benchmark.jsonl", "completions.jsonl", "verdicts.parquet", "summary.json")]
    write_rows(paths[0], samples)
    write_rows(paths[1], answers)
    score_completions(paths[0], paths[1], paths[2], paths[3])
    return pl.read_parquet(paths[2]), json.loads(paths[3].read_text())


def score_all(folder: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    return score(folder, [sample(name) for name in ANSWERS], [completion(*pair) for pair in ANSWERS.items()])


def test_every_sample_has_one_row_in_benchmark_order(tmp_path: Path) -> None:
    table, summary = score_all(tmp_path)
    assert table["sample_id"].to_list() == list(ANSWERS)
    assert dict(table.schema) == SCHEMA
    assert summary["samples"] == len(ANSWERS)


def test_only_a_missing_answer_leaves_the_denominator(tmp_path: Path) -> None:
    table, summary = score_all(tmp_path)
    rows = {row["sample_id"]: row for row in table.iter_rows(named=True)}
    assert {name: row["config_match"] for name, row in rows.items()} == {
        "right": True, "wrong": False, "spam": False, "prose": False, "filtered": False, "failed": None,
    }  # fmt: skip
    assert summary["outcomes"] == {"failed": 1, "refused": 1, "scored": 3, "unparsed": 1}
    assert summary["overall"]["config_match"] == {"successes": 1, "n": 5}
    assert summary["strata"] == {"delta_1": summary["overall"]}
    assert rows["failed"]["reason"] == "the server was away"
    assert {row["outcome"] for row in rows.values()} <= {str(outcome) for outcome in Outcome}
    assert {row["failure"] for row in rows.values()} <= {str(failure) for failure in Failure}


def test_the_first_mismatch_is_kept_as_json(tmp_path: Path) -> None:
    table, _ = score_all(tmp_path)
    mismatch = json.loads(table.filter(pl.col("sample_id") == "wrong")["first_mismatch"][0])
    assert (mismatch["path"], mismatch["expected"], mismatch["got"]) == (["n"], 2, 3)


def test_the_published_columns_stand_beside_the_strict_ones(tmp_path: Path) -> None:
    table, _ = score_all(tmp_path)
    rows = {row["sample_id"]: row for row in table.iter_rows(named=True)}
    assert rows["right"]["config_match_published_hosted"] is True
    assert rows["wrong"]["config_match_published_own"] is False


def test_without_the_published_module_its_columns_are_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "published_columns", lambda sample, text: {})
    table, _ = score_all(tmp_path)
    assert [name for name in SCHEMA if name not in table.columns] == [name for name in SCHEMA if "published" in name]


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    score_all(tmp_path)
    first = [(tmp_path / name).read_bytes() for name in ("verdicts.parquet", "summary.json")]
    score_all(tmp_path)
    assert first == [(tmp_path / name).read_bytes() for name in ("verdicts.parquet", "summary.json")]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["a", "b"], r'completions\.jsonl: sample_id: no row for "c"; 2 rows for 3 samples'),
        (["a", "b", "c", "c"], r'completions\.jsonl:4: sample_id: "c" stands in line 3 already'),
        (["a", "x", "c"], r'completions\.jsonl:2: sample_id: "x" is not a sample of'),
        (["a", "b", "c", "d"], r'completions\.jsonl:4: sample_id: "d" is not a sample of'),
        (["b", "a", "c"], r'completions\.jsonl:1: sample_id: "b" stands where "a" belongs'),
    ],
)
def test_files_that_do_not_belong_together_are_an_error(tmp_path: Path, ids: list[str], expected: str) -> None:
    with pytest.raises(BadFile, match=expected):
        score(tmp_path, [sample(name) for name in "abc"], [completion(name, RIGHT) for name in ids])
    assert not (tmp_path / "verdicts.parquet").exists()


def test_a_broken_row_is_named(tmp_path: Path) -> None:
    score_all(tmp_path)
    path = tmp_path / "completions.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1][:40], *lines[2:]]) + "\n")
    with pytest.raises(BadFile, match=r"completions\.jsonl:2: not JSON"):
        score_completions(tmp_path / "benchmark.jsonl", path, tmp_path / "v", tmp_path / "s")


def test_no_samples_give_an_empty_table(tmp_path: Path) -> None:
    table, summary = score(tmp_path, [], [])
    assert (table.height, summary["samples"]) == (0, 0)
