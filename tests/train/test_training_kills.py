"""Training kills: SFT and reinforcement learning killed in the middle go on, and leave no process and no half model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from trainings import kill_after

from envsim_core.training.stacks import ROOT

pytestmark = pytest.mark.timeout(900)


def killed_and_run_again(command: list[str], training: Path, after: int) -> dict[str, Any]:
    """The run card of a training that was killed once it had a checkpoint, and run again."""
    kill_after(command, training, after)
    half = training / "checkpoints/checkpoint-999"
    shutil.copytree(sorted((training / "checkpoints").glob("checkpoint-*"))[-1], half)
    (half / "trainer_state.json").unlink()  # as a kill in the middle of saving leaves it
    subprocess.run(command, cwd=ROOT, check=True)
    card: dict[str, Any] = json.loads((training / "run_card.json").read_text())
    assert [session["from_step"] >= after for session in card["sessions"]] == [False, True]
    assert (training / "model/model.safetensors").is_file()
    return card


def test_a_training_that_was_killed_goes_on_and_leaves_no_process_and_no_half_model(
    rows: Path, base: Path, tmp_path: Path
) -> None:
    options = yaml.safe_load((ROOT / "configs/train/tiny.yaml").read_text())
    options |= {"max_steps": 400, "save_steps": 20, "warmup_steps": 5}
    recipe, training = tmp_path / "recipe.yaml", tmp_path / "training"
    recipe.write_text(yaml.safe_dump(options))
    command = [
        sys.executable, "-m", "envsim_core", "train-model", "--data", str(rows),
        "--recipe", str(recipe), "--base", str(base),
        "--model", str(training / "model"), "--threads", "2",
    ]  # fmt: skip
    assert killed_and_run_again(command, training, 20)["steps"] == 400
    steps = [point["step"] for point in json.loads((training / "losses.json").read_text())["points"]]
    assert steps == sorted(set(steps))


def test_reinforcement_learning_that_was_killed_goes_on_and_its_curve_has_each_point_once(
    rows: Path, base: Path, tmp_path: Path
) -> None:
    options = yaml.safe_load((ROOT / "configs/train/grpo_tiny.yaml").read_text())
    # a model with random weights does not know how to end an answer
    options["envsim"] |= {"look_every": 1, "look_samples": 1, "held_out_rows": 4, "max_clipped": 1.0}
    options |= {"max_steps": 30, "save_steps": 2, "per_device_train_batch_size": 8, "max_completion_length": 8}
    recipe, training = tmp_path / "recipe.yaml", tmp_path / "training"
    recipe.write_text(yaml.safe_dump(options))
    command = [
        sys.executable, "-m", "envsim_core", "reinforce-model", "--data", str(rows),
        "--recipe", str(recipe), "--start", str(base),
        "--model", str(training / "model"), "--threads", "2",
    ]  # fmt: skip
    assert killed_and_run_again(command, training, 4)["steps"] == 30
    points = json.loads((training / "curve.json").read_text())["points"]
    assert [point["step"] for point in points] == list(range(31))
