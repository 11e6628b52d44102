"""Frameworks: the recipes as LLaMA-Factory, DeepSpeed and TRL read them; one clear error where they are wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from envsim_core.training.running import stack_environment
from envsim_core.training.stacks import ROOT, make_stack, packages, ready_stack

pytestmark = pytest.mark.timeout(1000)
FOLDER = ROOT / "configs/train"
SFT = sorted(str(path) for path in FOLDER.glob("*.yaml") if not path.stem.startswith("grpo"))
GRPO = sorted(map(str, FOLDER.glob("grpo_*.yaml")))
DEEPSPEED = sorted(map(str, FOLDER.glob("ds_*.json")))
ZERO3 = FOLDER / "ds_z3.json"


def read_by(stack_name: str, kind: str, paths: list[str]) -> dict[str, list[str]]:
    """What the frameworks of a stack say to each file, all in one process of theirs."""
    stack = make_stack(stack_name)
    command = [str(stack.python), str(ROOT / "tests/train/read_recipes.py"), kind, *paths]
    done = subprocess.run(command, env=stack_environment(stack), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def write_wrong(folder: Path, name: str, of: Path, changed: dict[str, Any]) -> str:
    """A file of the project with something changed."""
    path = folder / f"{name}{of.suffix}"
    told = yaml.safe_load(of.read_text())  # JSON is YAML
    for key, value in changed.items():
        told[key] = told[key] | value if isinstance(value, dict) else value
    path.write_text(json.dumps(told))
    return str(path)


def test_a_stack_is_made_once_and_holds_what_the_lock_says() -> None:
    stack = make_stack("train")
    made = (stack.folder / "envsim-stack.json").read_text()
    assert make_stack("train") == stack == ready_stack("train")
    assert (stack.folder / "envsim-stack.json").read_text() == made
    assert packages(stack)["llamafactory"] == "0.9.5"


def test_llamafactory_and_deepspeed_read_every_recipe_and_say_what_is_wrong_with_others(tmp_path: Path) -> None:
    recipe = FOLDER / "full_4b_z3.yaml"
    wrong_file = write_wrong(tmp_path, "ds", ZERO3, {"zero_optimization": {"overlap_com": True}})
    wrong = {
        write_wrong(tmp_path, "template", recipe, {"template": "qwen3_nothnk"}): (
            "template: LLaMA-Factory has none called 'qwen3_nothnk'; did you mean \"qwen3_nothink\"?"
        ),
        write_wrong(tmp_path, "key", recipe, {"learning_rat": 1.0}): (
            'learning_rat: is no option of LLaMA-Factory; did you mean "learning_rate"?'
        ),
        write_wrong(tmp_path, "value", recipe, {"flash_attn": "fa2"}): "flash_attn: fa2: the stack does not have it",
        write_wrong(tmp_path, "used", recipe, {"deepspeed": wrong_file}): f"{wrong_file}: DeepSpeedZeroConfig: overlap",
    }
    found = read_by("train", "sft", [*SFT, *DEEPSPEED, *wrong])
    assert {path: found[path] for path in [*SFT, *DEEPSPEED]} == {path: [] for path in [*SFT, *DEEPSPEED]}
    for path, said in wrong.items():
        assert len(found[path]) == 1
        assert said in found[path][0]
        assert "\n" not in found[path][0]


def test_trl_and_deepspeed_read_every_recipe_and_say_what_is_wrong_with_others(tmp_path: Path) -> None:
    key = write_wrong(tmp_path, "key", FOLDER / "grpo_4b.yaml", {"num_generation": 4})
    uneven = write_wrong(tmp_path, "uneven", FOLDER / "grpo_tiny.yaml", {"num_generations": 7})
    file = write_wrong(tmp_path, "ds", FOLDER / "ds_z2.json", {"zero_optimization": {"stage": 7}})
    found = read_by("rl", "grpo", [*GRPO, *DEEPSPEED, key, uneven, file])
    assert {path: found[path] for path in [*GRPO, *DEEPSPEED]} == {path: [] for path in [*GRPO, *DEEPSPEED]}
    assert found[key] == ['num_generation: is no option of TRL\'s GRPOConfig; did you mean "num_generations"?']
    assert "num_generations (7)" in found[uneven][0]
    assert f"deepspeed: {file}: DeepSpeedZeroConfig: stage:" in found[file][0]


def test_rows_that_the_published_recipe_would_cut_off_are_one_line_that_names_them(
    rows: Path, base: Path, tmp_path: Path
) -> None:
    options = yaml.safe_load((FOLDER / "full_4b_z3.yaml").read_text()) | {"cutoff_len": 48}
    options["envsim"] = {"gpus": 0, "cpus": 2, "memory_mb": 500, "dataset": "sharegpt"}
    del options["model_name_or_path"]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(options))
    command = [sys.executable, "-m", "envsim_core", "train-model", "--data", str(rows), "--recipe", str(recipe)]
    command += ["--base", str(base), "--model", str(tmp_path / "m/model")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "recipe.yaml: 64 of 64 rows are longer than cutoff_len = 48 tokens and would be cut off (row " in said
    assert "raise cutoff_len to" in said
    assert "Traceback" not in said
    assert not (tmp_path / "m/train.log").exists()
