"""Verdict changes: what two scorers or two runs judge differently is listed and counted, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest
from synthetic_report import write_benchmark, write_scores
from typer.testing import CliRunner

from envsim_core import cli
from envsim_core.errors import BadFile
from envsim_core.report.verdict_changes import verdict_changes
from envsim_core.stages.report import write_report


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """The verdicts of one model, and the same again as another run to change."""
    scores = write_scores(tmp_path, write_benchmark(tmp_path, 4), ("noisy", "noisy copy"))
    old, new = (folder / "verdicts.parquet" for folder in scores.values())
    new.write_bytes(old.read_bytes())
    return old, new


def change(path: Path, *expressions: pl.Expr) -> None:
    pl.read_parquet(path).with_columns(*expressions).write_parquet(path)


def tell(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, ["diff-verdicts", *map(str, arguments)])
    return done.exit_code, done.output


def test_equal_verdicts_are_said_to_be_equal(runs: tuple[Path, Path]) -> None:
    status, told = tell(*runs)
    assert status == 0 and "0 of 40 samples are judged differently." in told
    assert told.count("(scorer 0.1.0, score stage 1)") == 2


def test_changed_samples_are_listed_in_benchmark_order_and_counted(runs: tuple[Path, Path]) -> None:
    old, new = runs
    right = pl.read_parquet(old).filter(pl.col("config_match"))["sample_id"].to_list()[1:4]
    wrong = pl.col("sample_id").is_in(right)
    change(
        new,
        pl.when(wrong).then(False).otherwise("config_match").alias("config_match"),
        pl.when(wrong).then(pl.lit("wrong_value")).otherwise("failure").alias("failure"),
    )
    found = verdict_changes(old, new)
    assert found.changed["sample_id"].unique(maintain_order=True).to_list() == right
    assert ("config_match", "true", "false", 3) in found.counts()
    status, told = tell(old, new, "--limit", 2)
    assert status == 1 and "3 of 40 samples are judged differently." in told
    assert re.search(r"config_match +true +false +3 *\n", told)
    assert f"{right[0]}: failure " in told and "config_match true → false" in told
    assert right[2] not in told.split("Samples")[1] and "… and 1 more" in told


def test_a_verdict_that_was_null_has_changed(runs: tuple[Path, Path]) -> None:
    old, new = runs
    change(new, pl.lit(None, pl.Boolean).alias("config_match_published_own"))
    counts = verdict_changes(old, new).counts()
    assert {row[0] for row in counts} == {"config_match_published_own"} and {row[2] for row in counts} == {"null"}


def test_rows_in_another_order_are_no_change(runs: tuple[Path, Path]) -> None:
    old, new = runs
    pl.read_parquet(new).reverse().write_parquet(new)
    assert verdict_changes(old, new).same


def test_samples_and_columns_of_one_run_alone_are_named(runs: tuple[Path, Path]) -> None:
    old, new = runs
    pl.read_parquet(new).tail(37).drop("feedback_match_published_own").write_parquet(new)
    status, told = tell(old, new)
    assert status == 1 and "0 of 37 samples" in told
    assert "3 samples are only in" in told and '"failure-0"' in told
    assert "not compared: feedback_match_published_own." in told


def test_hostile_sample_names_do_not_reach_the_terminal(runs: tuple[Path, Path]) -> None:
    old, new = runs
    for path in runs:
        change(path, (pl.col("sample_id") + "\x1b[2J[red]").alias("sample_id"))
    change(new, pl.lit(7, pl.Int64).alias("collateral"))
    _, told = tell(old, new)
    assert "\x1b" not in told and "failure-0?[2J[red]: " in told


def test_a_file_that_is_no_verdict_table_is_named(runs: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no table")
    pl.DataFrame({"sample_id": ["a"]}).write_parquet(tmp_path / "other")
    pl.concat([pl.read_parquet(runs[1])] * 2).write_parquet(runs[1])
    for path, why in (
        (tmp_path / "text", "cannot be read as Parquet"),
        (tmp_path / "other", "outcome: is missing"),
        (runs[1], "more than one verdict"),
        (tmp_path / "missing", "cannot be read"),
    ):
        with pytest.raises(BadFile, match=why):
            verdict_changes(runs[0], path)


def test_every_model_of_a_leaderboard_names_its_scorer(tmp_path: Path) -> None:
    scores = write_scores(tmp_path, write_benchmark(tmp_path, 2), ("oracle", "copy"))
    summary = scores["copy"] / "summary.json"
    told = json.loads(summary.read_text())
    summary.write_text(json.dumps(told | {"versions": {"scorer": "0.0.9", "score_stage": "1"}}))
    write_report(tmp_path / "benchmark.jsonl", None, scores, tmp_path / "report")
    data = json.loads((tmp_path / "report" / "leaderboard.json").read_text())
    assert {model["model"]: model["versions"]["scorer"] for model in data["models"]} == {
        "oracle": "0.1.0",
        "copy": "0.0.9",
    }
    assert data["versions"]["scorer"] == "0.0.9, 0.1.0"
    summary.write_text(json.dumps({**told, "versions": {}}))
    with pytest.raises(BadFile, match="versions: does not name the scorer; score this model again"):
        write_report(tmp_path / "benchmark.jsonl", None, scores, tmp_path / "report")
