"""Recipe checks: what a user is told before anything long starts, and what a recipe's job gets from its scheduler."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from envsim_core.config.recipe import Recipe, RlRecipe, load_recipe
from envsim_core.stages import rl, train
from envsim_core.training.machine import check_machine_here
from envsim_core.training.running import TrainingFailed
from envsim_core.training.stacks import ROOT, Stack

FOLDER = ROOT / "configs/train"
NO_GPU = {key: value for key, value in os.environ.items() if key != "SLURM_JOB_ID"} | {"CUDA_VISIBLE_DEVICES": ""}


def write_recipe(folder: Path, ours: dict[str, Any]) -> Path:
    options = yaml.safe_load((FOLDER / "tiny.yaml").read_text())
    del options["seed"]  # this project sets it where TRL trains
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(options | {"envsim": options["envsim"] | {"memory_mb": 1} | ours}))
    return path


def refused(*arguments: str | Path) -> str:
    """What a command says that ends with an error; no word of where in the code it happened."""
    command = [sys.executable, "-m", "envsim_core", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=NO_GPU, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        ({"gpus": 2}, "asks for 2 GPUs, this machine has 0"),
        ({"memory_mb": 900_000_000}, "asks for 900000000 MB of main memory"),
        ({"gpu": 1}, 'envsim: gpu: unknown key; did you mean "gpus"?'),
        ({"port": 80}, "envsim: port:"),
    ],
    ids=["a missing GPU", "too little memory", "an unknown key", "a port that is not ours"],
)
def test_a_recipe_that_this_machine_cannot_do_is_refused_before_its_framework_is_installed(
    tmp_path: Path, ours: dict[str, Any], said: str
) -> None:
    recipe = write_recipe(tmp_path, ours)
    told = refused("check-recipe", "--recipe", recipe, "--trainer", "sft", "--checked", tmp_path / "checked.json")
    assert f"{recipe}: " in told
    assert said in told
    assert not (tmp_path / "checked.json").exists()


def test_every_command_that_trains_looks_at_the_machine_first(tmp_path: Path) -> None:
    recipe, model = write_recipe(tmp_path, {"gpus": 1}), tmp_path / "m/model"
    rows = ("--data", tmp_path, "--recipe", recipe)
    for command in (
        ("train-model", *rows, "--model", model),
        ("reinforce-model", *rows, "--start", tmp_path, "--model", model),
        ("check-recipe", "--recipe", recipe, "--trainer", "rl", "--checked", tmp_path / "checked.json"),
    ):
        assert "asks for 1 GPU, this machine has 0" in refused(*command)
    assert not model.parent.exists()


def test_a_busy_port_is_told_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = refused("train-model", "--data", tmp_path, "--model", tmp_path / "m/model",
                       "--recipe", write_recipe(tmp_path, {"port": port}))  # fmt: skip
    assert f"port {port} is taken" in told
    assert "leave `port` out" in told


def test_a_slurm_job_says_nothing_about_the_machine_that_the_training_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(TrainingFailed, match="asks for 8 GPUs"):
        check_machine_here(Recipe(gpus=8), "r.yaml")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    check_machine_here(Recipe(gpus=8), "r.yaml")


def test_trainers_run_one_process_per_gpu_and_take_a_path_with_a_space() -> None:
    stack, settings = Stack("train", Path("/stack")), Path("/my results/settings.yaml")
    for gpus, processes in ((1, 1), (8, 8)):
        command = train.trainer_command(stack, Recipe(gpus=gpus), {}, settings)
        assert command[command.index("--nproc_per_node") + 1] == str(processes)
        assert command[-1] == str(settings)
    alone = train.trainer_command(stack, Recipe(gpus=0), {}, settings)
    assert alone == ["/stack/bin/llamafactory-cli", "train", str(settings)]
    together = train.trainer_command(stack, Recipe(gpus=0, processes=2, port=29511), {"deepspeed": "d"}, settings)
    assert together[together.index("--master_port") + 1] == "29511"


@pytest.mark.parametrize("name", ["full_4b_z3", "full_4b_z3_8gpu", "dpo_4b", "grpo_4b"])
def test_variables_of_a_recipe_reach_the_trainer(name: str) -> None:
    if name == "grpo_4b":
        variables = rl.trainer_variables(load_recipe(FOLDER / f"{name}.yaml", RlRecipe)[0], threads=16)
    else:
        recipe, options = load_recipe(FOLDER / f"{name}.yaml", Recipe)
        variables = train.trainer_variables(recipe, {"model_name_or_path": "x/y"} | options, threads=16)
    assert variables["NCCL_DEBUG"] == "WARN"
    assert variables["TORCH_NCCL_ASYNC_ERROR_HANDLING"] == "1"
    assert "CUDA_VISIBLE_DEVICES" not in variables, "SLURM or the user says which"


@pytest.mark.parametrize("profile", ["slurm", "gpu"])
def test_jobs_that_train_get_the_gpus_the_memory_and_the_time_of_their_recipe(tmp_path: Path, profile: str) -> None:
    command = [sys.executable, "-m", "snakemake", "--nolock", "--profile", f"cluster/{profile}", "--dry-run"]
    command += ["--quiet", "host", "--resources", "gpu=8", "--config", "size=published", f"results={tmp_path}"]
    command += ["train={recipe: configs/train/full_4b_z3_8gpu.yaml}", "--", "rl_simulator"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = {part.split(":", 1)[0]: part for part in done.stdout.split("rule ")[1:]}
    for rule, asked in (
        ("train_model", ("gpu=8", "mem_mb=500000", "runtime=480")),
        ("reinforce_model", ("gpu=2", "mem_mb=200000", "runtime=2880")),
    ):
        resources = next(line for line in jobs[rule].splitlines() if "resources:" in line)
        for resource in asked:
            assert resource in resources.replace(" ", "").replace("resources:", "").split(",")
        assert "recipe_" in jobs[rule], "its recipe is looked at before its data is made"
