"""Preferences: a model answers, the verifier ranks, LLaMA-Factory's DPO learns from the pairs; for real, in small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from trainings import loaded, written

from envsim_core.errors import BadConfig
from envsim_core.rewards import reward
from envsim_core.stages.train import sample_pairs, train_model
from envsim_core.training.running import TrainingFailed
from envsim_core.training.stacks import ROOT

pytestmark = pytest.mark.timeout(900)
SFT, DPO = ROOT / "configs/train/tiny.yaml", ROOT / "configs/train/dpo_tiny.yaml"


def write_recipe(path: Path, of: Path, changed: dict[str, Any], ours: dict[str, Any]) -> Path:
    """A recipe of the project with a few values changed."""
    options = yaml.safe_load(of.read_text()) | changed
    options["envsim"] |= ours
    options.pop("num_train_epochs")
    path.write_text(yaml.safe_dump(options))
    return path


@pytest.fixture(scope="module")
def learner(rows: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained until some of its answers are better than others."""
    folder = tmp_path_factory.mktemp("learner")
    changed = {"max_steps": 120, "warmup_steps": 10, "save_steps": 500}
    recipe = write_recipe(folder / "tiny.yaml", SFT, changed, {})
    train_model(rows, recipe, base, folder, folder / "model", threads=1)
    return folder / "model"


def test_pairs_are_ranked_by_the_verifier_and_train_a_model(rows: Path, learner: Path, tmp_path: Path) -> None:
    ours = {"pairs": {"asked_rows": 24, "samples": 4, "max_tokens": 80, "temperature": 1.2}}
    recipe = write_recipe(tmp_path / "dpo.yaml", DPO, {"max_steps": 3, "warmup_steps": 0, "logging_steps": 1}, ours)
    pairs = tmp_path / "m-dpo/pairs"
    counts = sample_pairs(rows, recipe, learner, pairs, seed=1)
    assert counts["answers"] == 96
    made = json.loads((pairs / "pairs.json").read_text())
    assert len(made) == counts["pairs"] > 0
    truth = {
        row["prompt"][1]["content"]: row
        for row in map(json.loads, (rows / "rl.jsonl").read_text().splitlines())
    }  # fmt: skip
    for pair in made:
        row = truth[pair["instruction"]]
        state = {name: [row[name]] * 2 for name in ("state_before", "state_after", "observation", "volatile")}
        high, low = reward(completions=[pair["chosen"], pair["rejected"]], **state)
        assert high is not None
        assert low is not None
        assert high - low >= 0.1

    card = train_model(pairs, recipe, learner, tmp_path / "m-dpo", tmp_path / "m-dpo/model", threads=1)
    assert (card["steps"], card["options"]["stage"], card["options"]["dataset"]) == (3, "dpo", "pairs")
    points = json.loads((tmp_path / "m-dpo/losses.json").read_text())["points"]
    assert all("rewards/accuracies" in point for point in points)
    assert loaded(tmp_path / "m-dpo/model").items() >= written(learner).items()
    weights = "model/model.safetensors"
    assert (tmp_path / "m-dpo" / weights).read_bytes() != (learner.parent / weights).read_bytes()


def test_answers_that_are_all_alike_make_no_pairs_and_leave_no_folder(rows: Path, base: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "dpo.yaml", DPO, {}, {"pairs": {"asked_rows": 2, "samples": 2, "max_tokens": 8}})
    with pytest.raises(TrainingFailed, match=r"no two of 4 answers differ by 0\.1"):
        sample_pairs(rows, recipe, base, tmp_path / "pairs", seed=1)
    assert not (tmp_path / "pairs").exists()


def test_a_recipe_without_pairs_says_what_is_missing(rows: Path, base: Path, tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"tiny\.yaml: envsim\.pairs: is not there"):
        sample_pairs(rows, SFT, base, tmp_path / "pairs", seed=1)
