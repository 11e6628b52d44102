"""Guards: reinforcement learning that drifts, or whose answers never end, is ended, and its card says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from envsim_core.stages.rl import reinforce_model
from envsim_core.training.stacks import ROOT

pytestmark = pytest.mark.timeout(600)
SMALL = {"max_steps": 4, "per_device_train_batch_size": 8, "max_completion_length": 8, "save_steps": 100}
LOOKS = {"held_out_rows": 4, "look_every": 100, "look_samples": 1, "trained": None}


@pytest.mark.parametrize(
    ("options", "ours", "step", "why"),
    [
        # the decay of weights moves a model whose answers all earn nothing
        (
            {"learning_rate": 0.5, "weight_decay": 0.5},
            {"max_kl": 1e-9, "max_clipped": 1.0},
            2,
            "KL to the model it began with is",
        ),
        # a model with random weights does not know how to end an answer
        ({}, {"max_clipped": 0.5}, 1, "100% of the answers were cut off at max_completion_length, more than 50%"),
    ],
    ids=["it drifts", "its answers never end"],
)
def test_a_guard_ends_the_training_and_the_card_says_why(
    rows: Path, base: Path, tmp_path: Path, options: dict[str, Any], ours: dict[str, Any], step: int, why: str
) -> None:
    recipe = yaml.safe_load((ROOT / "configs/train/grpo_tiny.yaml").read_text()) | SMALL | options
    recipe["envsim"] |= LOOKS | ours
    path, training = tmp_path / "grpo.yaml", tmp_path / "m-rl"
    path.write_text(yaml.safe_dump(recipe))
    card = reinforce_model(rows, path, base, training, training / "model", threads=2, seed=1)
    assert card["stopped_by_guard"]["step"] == step
    assert card["stopped_by_guard"]["why"].startswith(why)
    assert (training / "model/model.safetensors").is_file(), "what it was when it was ended is kept"
