"""Loop: data, SFT, RL, serving, benchmark and report for the tiny model, for real."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envsim_core.config.recipe import Recipe, load_recipe
from envsim_core.errors import BadConfig
from envsim_core.stages.train import check_options, chosen_options
from envsim_core.training.stacks import ROOT, make_stack

pytestmark = pytest.mark.timeout(2700)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The results of the whole loop, made once."""
    folder = tmp_path_factory.mktemp("loop")
    command = [sys.executable, "-m", "snakemake", "simulator", "--config", "size=tiny", f"results={folder}"]
    subprocess.run([*command, "--nolock", "--cores", "2"], cwd=ROOT, check=True)
    yield folder


def rate(results: Path, model: str, stratum: str) -> dict[str, Any]:
    data = json.loads((results / "report/leaderboard.json").read_text())
    found: dict[str, Any] = next(
        row
        for row in data["rates"]
        if (row["model"], row["level"], row["key"], row["metric"]) == (model, "stratum", stratum, "config_match")
    )
    return found


@pytest.mark.parametrize("model", ["tiny", "tiny-rl"])
def test_the_tiny_model_beats_copy_where_one_thing_changes_in_scenarios_it_never_saw(results: Path, model: str) -> None:
    copy = rate(results, "copy", "delta_1")
    assert rate(results, model, "delta_1")["low"] > copy["high"]


def test_reinforcement_learning_raises_the_reward_of_held_out_rows(results: Path) -> None:
    points = json.loads((results / "train/tiny-rl/curve.json").read_text())["points"]
    card = json.loads((results / "train/tiny-rl/run_card.json").read_text())
    assert points[0]["step"] == 0
    assert points[-1]["step"] == card["steps"] == card["options"]["max_steps"]
    first, last = points[0]["sampled"], points[-1]["sampled"]
    assert first["n"] == last["n"] == 400
    assert last["reward"] > first["reward"] + 0.02, "one standard error of the difference"
    assert card["gain"]["reward"] == pytest.approx(last["reward"] - first["reward"], abs=1e-4)
    rewards = [point["sampled"]["reward"] for point in points]
    assert sum(rewards[-2:]) / 2 > rewards[0], "and not at its last point alone"


def test_the_rows_of_reinforcement_learning_were_not_trained_on_before(results: Path) -> None:
    names = [
        {json.loads(line)["sample_id"] for line in (results / "sft/tiny" / file).read_text().splitlines()}
        for file in ("rows.jsonl", "rl.jsonl", "held_out_rl.jsonl")
    ]
    assert all(names)
    assert len(set.union(*names)) == sum(map(len, names))


def test_the_report_shows_how_the_models_were_trained(results: Path) -> None:
    page = (results / "report/index.html").read_text()
    assert 'id="training"' in page
    assert "Loss on the training rows" in page
    assert "Reward on held-out rows" in page
    card = json.loads((results / "train/tiny/run_card.json").read_text())
    assert card["steps"] == json.loads((results / "train/tiny/losses.json").read_text())["steps"]
    assert card["packages"]["llamafactory"] == "0.9.5"


def test_rows_that_would_be_cut_off_are_an_error_before_training(results: Path, tmp_path: Path) -> None:
    recipe, options = load_recipe(ROOT / "configs/train/tiny.yaml", Recipe)
    data, base = results / "sft/tiny", results / "train/tiny/base"
    chosen = chosen_options(Path("tiny.yaml"), recipe, options | {"cutoff_len": 64}, data, base, tmp_path / "out")
    with pytest.raises(BadConfig, match=r"rows are longer than cutoff_len = 64 tokens"):
        check_options(Path("tiny.yaml"), make_stack("train"), chosen, data / "alpaca.json", tmp_path / "check.json")
