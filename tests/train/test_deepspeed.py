"""DeepSpeed: the published recipe as far as two CPU cores take it, killed in the middle, gone on with, and loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from trainings import kill_after, loaded, written

from envsim_core.training.checkpoints import has_every_part, is_whole
from envsim_core.training.operators import operators_folder
from envsim_core.training.stacks import ROOT, make_stack

pytestmark = pytest.mark.timeout(1200)
PUBLISHED = ROOT / "configs/train/full_4b_z3.yaml"
# the model and the rows are small, and a CPU has neither bf16 between processes nor a GPU's memory
CHANGED = {"bf16": False, "cutoff_len": 512, "gradient_accumulation_steps": 1, "max_steps": 12, "save_steps": 2}
MACHINE = {"gpus": 0, "processes": 2, "cpus": 2, "memory_mb": 2000}


def write_recipe(folder: Path) -> Path:
    """The published recipe, its DeepSpeed configuration untouched, for two processes without a GPU."""
    options = yaml.safe_load(PUBLISHED.read_text()) | CHANGED | {"envsim": MACHINE, "logging_steps": 1}
    for key in ("model_name_or_path", "num_train_epochs"):
        del options[key]
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(options))
    return path


def test_a_zero3_training_of_two_processes_is_killed_goes_on_and_ends_in_a_model(
    rows: Path, base: Path, tmp_path: Path
) -> None:
    training = tmp_path / "a training"
    command = [
        sys.executable, "-m", "envsim_core", "train-model", "--data", str(rows), "--recipe",
        str(write_recipe(tmp_path)), "--base", str(base), "--model", str(training / "model"), "--threads", "2",
    ]  # fmt: skip
    kill_after(command, training, 2)
    whole = [path for path in (training / "checkpoints").glob("checkpoint-*") if is_whole(path, processes=2)]
    assert whole
    assert not has_every_part(whole[0], processes=3)

    subprocess.run(command, cwd=ROOT, check=True)
    card = json.loads((training / "run_card.json").read_text())
    assert [session["from_step"] >= 2 for session in card["sessions"]] == [False, True]
    assert card["steps"] == 12
    log = (training / "train.log").read_text()
    for said in ("world size: 2", "Detected DeepSpeed ZeRO-3", "Attempting to resume"):
        assert said in log
    operators = operators_folder(make_stack("train"))
    assert operators.is_relative_to(ROOT / ".cache")
    assert list(operators.glob("*/*.so")), "the compiled operator is kept there"
    assert loaded(training / "model").items() >= written(base).items()
