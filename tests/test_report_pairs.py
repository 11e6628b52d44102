"""Pairs in the report: who differs from whom, in page, JSON, Parquet and Markdown alike; tables for papers."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from random import Random

import polars as pl
import pytest
from synthetic_report import MODELS, verdict, write_benchmark, write_scores

from envsim_core.comparisons import DISTINGUISHABLE, NOT_DISTINGUISHABLE
from envsim_core.report.pairs import p_text
from envsim_core.report.tables import latex
from envsim_core.stages.report import write_report
from envsim_core.stages.score import SCHEMA


def report(folder: Path, models: tuple[str, ...], per_stratum: int | None = 4) -> Path:
    scores = write_scores(folder, write_benchmark(folder, per_stratum), models)
    write_report(folder / "benchmark.jsonl", folder / "composition.json", scores, folder / "report")
    return folder / "report"


def shown(page: Path) -> str:
    """The text of the section about pairs."""
    section = page.read_text().split('<section id="comparisons"')[1].split("</section>")[0]
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", section)))


def report_of_rights(folder: Path, rights: dict[str, int]) -> Path:
    """A report on 400 samples; each model is right on so many of them, drawn for itself."""
    samples = write_benchmark(folder)
    scores = write_scores(folder, samples, tuple(rights))
    for model, right in rights.items():
        flags = [index < right for index in range(len(samples))]
        Random(model).shuffle(flags)
        rows = [
            {**verdict("none" if flag else "wrong_value", feedback=flag), "sample_id": sample.sample_id}
            for flag, sample in zip(flags, samples, strict=True)
        ]
        pl.DataFrame(rows, schema=SCHEMA).write_parquet(scores[model] / "verdicts.parquet")
    write_report(folder / "benchmark.jsonl", folder / "composition.json", scores, folder / "report")
    return folder / "report"


def test_the_report_tells_60_of_400_apart_and_not_12(tmp_path: Path) -> None:
    folder = report_of_rights(tmp_path, {"base": 180, "near": 192, "far": 240})
    verdicts = {
        (row["first"], row["second"]): (row["verdict"], row["difference"])
        for row in pl.read_parquet(folder / "comparisons.parquet").filter(metric="config_match").to_dicts()
    }
    assert verdicts[("near", "base")] == (NOT_DISTINGUISHABLE, 0.03)
    assert verdicts[("far", "base")] == (DISTINGUISHABLE, 0.15)
    told = shown(folder / "index.html")
    assert re.search(r"near against base \+3\.0 \[\S+ \S+\] not distinguishable chance can explain", told)
    assert re.search(r"far against base \+15\.0 \[\S+ \S+\] distinguishable more than chance", told)
    markdown = (folder / "comparisons.md").read_text()
    assert re.search(
        r"\| far against base \| distinguishable \| \+15\.0 \[.*\] \| \d+ : \d+ \|.*\| 9\.\d \| 400 \|", markdown
    )
    assert "| near against base | not distinguishable | +3.0 [" in markdown


def test_json_and_parquet_hold_the_same_pairs(tmp_path: Path) -> None:
    folder = report(tmp_path, tuple(MODELS), per_stratum=None)
    data = json.loads((folder / "comparisons.json").read_text(), parse_constant=pytest.fail)
    assert data["pairs"] == pl.read_parquet(folder / "comparisons.parquet").to_dicts()
    assert len(data["pairs"]) == 2 * 10 and len(data["rates"]) == 2 * 5
    board = {row["model"]: row for row in json.loads((folder / "leaderboard.json").read_text())["models"]}
    for row in data["rates"]:
        assert row["low"] <= board[row["model"]]["metrics"][row["metric"]]["rate"] <= row["high"]


def test_many_models_are_shown_beside_their_neighbours_and_stored_in_full(tmp_path: Path) -> None:
    models = tuple(f"model-{number}" for number in range(12))
    folder = report(tmp_path, models)
    assert pl.read_parquet(folder / "comparisons.parquet").height == 2 * 66
    told = shown(folder / "index.html")
    assert told.count(" against ") == 2 * 11 and "comparisons.parquet has every pair" in told


def test_too_few_environments_are_said_to_be_too_few(tmp_path: Path) -> None:
    samples = write_benchmark(tmp_path, 20)
    few = [sample.model_copy(update={"env_id": f"environment-{index % 3}"}) for index, sample in enumerate(samples)]
    (tmp_path / "benchmark.jsonl").write_text("".join(sample.model_dump_json() + "\n" for sample in few))
    scores = write_scores(tmp_path, few, ("oracle", "copy"))
    write_report(tmp_path / "benchmark.jsonl", None, scores, tmp_path / "report")
    told = shown(tmp_path / "report" / "index.html")
    assert "share too few environments to resample" in told and told.count("too few environments") == 1 + 4
    assert re.search(r"oracle against copy \S+ \[.*?\] distinguishable more than chance, in these few", told)


def test_one_model_is_compared_with_none(tmp_path: Path) -> None:
    folder = report(tmp_path, ("oracle",))
    assert 'id="comparisons"' not in (folder / "index.html").read_text()
    assert json.loads((folder / "comparisons.json").read_text())["pairs"] == []


def test_a_model_that_never_answered_is_told_apart_from_none(tmp_path: Path) -> None:
    folder = report(tmp_path, ("oracle", "down"))
    told = shown(folder / "index.html")
    assert "oracle against down not distinguishable no sample was answered by both" in told and "None" not in told
    assert "| oracle against down | not distinguishable |  |" in (folder / "comparisons.md").read_text()


def test_hostile_names_stay_text_in_every_table(tmp_path: Path) -> None:
    hostile = ("<img src=x onerror=alert(1)>", "\\input{/etc/passwd}%", "a | b\n\n# c", "[2cm] $x_1^2$ & ~#")
    folder = report(tmp_path, hostile)
    assert "<img" not in (folder / "index.html").read_text()
    for file in ("leaderboard.md", "comparisons.md"):
        text = (folder / file).read_text()
        assert "a \\| b  # c" in text and "\\<img" in text and not re.search(r"(?<!\\)<img|^# c", text, re.MULTILINE)
    table = (folder / "leaderboard.tex").read_text()
    assert (
        r"\textbackslash{}input\{/etc/passwd\}\%" in table
        and r"{[}2cm] \$x\_1\textasciicircum{}2\$ \& \textasciitilde{}\#" in table
    )
    assert "a \\textbar{} b??\\# c" in table
    rows = [line for line in table.splitlines() if line.endswith("\\\\")]
    assert len(rows) == 1 + len(hostile)
    columns = table.split("\\begin{tabular}{")[1].split("}")[0]
    assert all(len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1 for row in rows)


def test_the_latex_table_has_the_numbers_of_the_leaderboard(tmp_path: Path) -> None:
    folder = report(tmp_path, ("oracle", "copy", "down"), per_stratum=None)
    table = (folder / "leaderboard.tex").read_text()
    assert r"oracle & 100.0 {\scriptsize [99.0, 100.0]} & 100.0" in table
    assert r"down & -- & --" in table and table.count(r"\begin{tabular}") == table.count(r"\end{tabular}") == 1
    assert latex("GPT-4o_mini 50%") == r"GPT-4o\_mini 50\%"


def test_a_p_value_is_never_written_as_zero() -> None:
    assert [p_text(p) for p in (0.0, 0.0009, 0.001, 0.0304, 1.0)] == ["< 0.001", "< 0.001", "0.001", "0.030", "1.000"]
