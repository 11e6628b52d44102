"""Training: recipes, sizes, whole checkpoints and models, and what is said before anything long starts."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from jinja2 import Environment, PackageLoader, StrictUndefined

from envsim_core.config.recipe import Recipe, RlRecipe, load_recipe
from envsim_core.config.sizes import with_size
from envsim_core.errors import BadConfig, BadFile, UnknownName
from envsim_core.report.training import read_training, training
from envsim_core.stages.train import chosen_options, trainer_variables
from envsim_core.training.cards import Sessions, paired_gain
from envsim_core.training.checkpoints import is_whole, is_whole_weights, last_checkpoint, publish_model, resumable
from envsim_core.training.machine import check_machine
from envsim_core.training.operators import ready_operators
from envsim_core.training.running import Cost, TrainingFailed, run_program
from envsim_core.training.stacks import LOCK, MARKER, ROOT, STACKS, Stack, ready_stack, stack_folder

RECIPES = sorted((ROOT / "configs/train").glob("*.yaml"))
SFT = {"model_name_or_path": "made/here"}
SIZES = sorted((ROOT / "configs/simulator").glob("*.yaml"))


def write_weights(path: Path, cut: int = 0) -> None:
    """A safetensors file with one tensor, or one that was cut off while it was written."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    data = len(header).to_bytes(8, "little") + header + bytes(16)
    path.write_bytes(data[: len(data) - cut])


def write_checkpoint(folder: Path, step: int, cut: int = 0, state: bool = True) -> Path:
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    write_weights(checkpoint / "model.safetensors", cut)
    if state:
        (checkpoint / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return checkpoint


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_says_what_it_asks_of_the_machine(path: Path) -> None:
    recipe, options = load_recipe(path, RlRecipe if path.stem.startswith("grpo") else Recipe)
    assert path.read_text().startswith(f"# {path.stem}: ")
    assert "output_dir" not in options
    for name in ("deepspeed",):
        assert name not in options or (ROOT / options[name]).is_file()
    assert recipe.gpus or recipe.cpus <= 2


@pytest.mark.parametrize("path", SIZES, ids=lambda path: path.stem)
def test_every_size_is_a_configuration(path: Path) -> None:
    values = with_size({"size": path.stem}, {}, path.parent)
    assert values["sft"]["mixture"]
    assert values["results"] != "results", "a size has a folder of its own"


def test_what_is_said_on_the_command_line_stands_above_the_size(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("collect: {steps: 7, shards: 1}\nstratify: {quotas: {failure: 3}}\n")
    below = {"size": "small", "collect": {"steps": 30, "size": 2}, "stratify": {"quotas": {"delta_1": 9}}}
    found = with_size(below, {"collect": {"steps": 5}}, tmp_path)
    assert found["collect"] == {"steps": 5, "size": 2, "shards": 1}
    assert found["stratify"]["quotas"] == {"failure": 3}


def test_an_unknown_size_offers_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("")
    with pytest.raises(UnknownName, match='did you mean "small"'):
        with_size({"size": "smal"}, {}, tmp_path)


def test_an_unknown_key_for_this_project_names_file_and_key(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("envsim: {gpu: 2}\nstage: sft\n")
    with pytest.raises(BadConfig, match=r'recipe\.yaml: envsim: gpu: unknown key; did you mean "gpus"'):
        load_recipe(path, Recipe)


def test_what_is_trained_is_a_regular_expression(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("envsim: {trained: 'norm['}\n")
    with pytest.raises(BadConfig, match=r"recipe\.yaml: envsim: trained: .*is no regular expression"):
        load_recipe(path, RlRecipe)


def test_a_number_with_an_exponent_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("learning_rate: 1e-4\nadam_epsilon: 1.e-8\nrun_name: run1e4\n")
    assert load_recipe(path, Recipe)[1] == {"learning_rate": 1e-4, "adam_epsilon": 1e-8, "run_name": "run1e4"}


def test_what_the_project_sets_cannot_stand_in_a_recipe(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="output_dir: cannot stand in a recipe"):
        chosen_options(Path("r.yaml"), Recipe(), {"output_dir": "x"}, tmp_path, None, tmp_path)
    with pytest.raises(BadConfig, match="model_name_or_path: is missing"):
        chosen_options(Path("r.yaml"), Recipe(), {}, tmp_path, None, tmp_path)


@pytest.mark.parametrize("cut", [1, 16, 40])
def test_weights_that_were_cut_off_are_not_whole(tmp_path: Path, cut: int) -> None:
    write_weights(tmp_path / "whole.safetensors")
    write_weights(tmp_path / "part.safetensors", cut)
    assert is_whole_weights(tmp_path / "whole.safetensors")
    assert not is_whole_weights(tmp_path / "part.safetensors")


def test_a_training_goes_on_from_the_last_whole_checkpoint(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    write_checkpoint(tmp_path, 90)
    whole = write_checkpoint(tmp_path, 100)
    cut, stateless = write_checkpoint(tmp_path, 110, cut=3), write_checkpoint(tmp_path, 120, state=False)
    assert last_checkpoint(tmp_path) == whole
    assert not cut.exists()
    assert not stateless.exists()


def write_zero_checkpoint(folder: Path, step: int, processes: int) -> Path:
    """A checkpoint as DeepSpeed leaves it: a part of the optimizer's state from each process."""
    checkpoint = write_checkpoint(folder, step)
    parts = checkpoint / f"global_step{step}"
    parts.mkdir()
    for rank in range(processes):
        with zipfile.ZipFile(parts / f"bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt", "w") as part:
            part.writestr("data", bytes(100))
    (checkpoint / "latest").write_text(parts.name)
    return checkpoint


def test_a_deepspeed_checkpoint_is_whole_with_the_part_of_each_process(tmp_path: Path) -> None:
    whole = write_zero_checkpoint(tmp_path, 10, processes=2)
    missing, cut = (write_zero_checkpoint(tmp_path, step, processes=2) for step in (20, 30))
    unnamed, elsewhere = (write_zero_checkpoint(tmp_path, step, processes=2) for step in (40, 50))
    next(missing.rglob("*rank_1*.pt")).unlink()
    part = next(cut.rglob("*rank_1*.pt"))
    part.write_bytes(part.read_bytes()[:-30])
    (unnamed / "latest").unlink()
    (elsewhere / "latest").write_text("global_step40")
    assert not any(is_whole(checkpoint, processes=2) for checkpoint in (missing, cut, unnamed, elsewhere))
    assert not is_whole(whole, processes=3), "DeepSpeed goes on with as many processes as wrote it"
    assert last_checkpoint(tmp_path, processes=2) == whole


def test_the_lock_of_a_killed_compiler_is_removed_unless_somebody_may_be_compiling(tmp_path: Path) -> None:
    left = tmp_path / "operators/cpu_adam/lock"
    with ready_operators(left.parents[1]):
        left.parent.mkdir()
        left.touch()
        with ready_operators(left.parents[1]):
            assert left.exists(), "the other training is compiling it"
    with ready_operators(left.parents[1]):
        assert not left.exists()


def test_what_another_training_left_is_not_gone_on_from_now_or_later(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "checkpoints", 40)
    assert resumable(tmp_path / "checkpoints", same_training=False) is None
    assert resumable(tmp_path / "checkpoints", same_training=True) is None, "it was killed before its first checkpoint"


def test_a_model_is_put_in_its_place_whole_or_not_at_all(tmp_path: Path) -> None:
    written, model = tmp_path / "written", tmp_path / "model"
    written.mkdir()
    with pytest.raises(BadFile, match="left no model"):
        publish_model(written, model)
    (written / "config.json").write_text("{}")
    write_weights(written / "model.safetensors", cut=2)
    with pytest.raises(BadFile, match="is cut off"):
        publish_model(written, model)
    assert not model.exists()
    write_weights(written / "model.safetensors")
    (written / "optimizer.pt").write_text("large")
    (tmp_path / ".model.1.tmp").mkdir()  # of a run that was killed
    publish_model(written, model)
    assert sorted(path.name for path in model.iterdir()) == ["config.json", "model.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "written"]


def test_sessions_add_up_and_another_training_starts_anew(tmp_path: Path) -> None:
    first = Sessions(tmp_path, {"rows": 1})
    assert not first.earlier
    first.begin(0)
    first.end(Cost(3600.0, 7.2e6))
    second = Sessions(tmp_path, {"rows": 1})
    assert second.earlier
    second.begin(40)
    second.end(Cost(1800.0, None))
    totals = second.totals(2)
    assert (totals["seconds"], totals["gpu_hours"], totals["gpu_kwh"]) == (5400.0, 3.0, 2.0)
    assert not Sessions(tmp_path, {"rows": 2}).earlier


def test_a_missing_gpu_too_little_memory_and_a_taken_port_are_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(TrainingFailed, match="asks for 2 GPUs, this machine has 0"):
        check_machine(Recipe(gpus=2), "full.yaml")
    with pytest.raises(TrainingFailed, match="asks for 900000000 MB of main memory"):
        check_machine(Recipe(gpus=0, memory_mb=900_000_000), "full.yaml")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(TrainingFailed, match=f"port {port} is taken"):
            check_machine(Recipe(gpus=0, memory_mb=1, port=port), "full.yaml")
    check_machine(Recipe(gpus=0, memory_mb=1), "tiny.yaml")


def test_a_gain_is_measured_row_by_row() -> None:
    even = paired_gain([0.1, 0.9, 0.5], [0.2, 1.0, 0.6])
    assert even == {"reward": 0.1, "low": 0.1, "high": 0.1, "rows": 3}, "however much rows differ among themselves"
    mixed = paired_gain([0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0])
    assert mixed == {"reward": 0.5, "low": -0.0658, "high": 1.0658, "rows": 4}  # 0.5 +- 1.96 * 0.57735 / 2


def fake_stack(tmp_path: Path) -> Stack:
    """A stack whose Python is this one."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    return Stack("train", tmp_path)


def test_a_trainer_that_fails_is_one_error_with_the_likely_cause(tmp_path: Path) -> None:
    stack, log = fake_stack(tmp_path), tmp_path / "train.log"
    command = [sys.executable, "-c", "print('loading'); raise SystemExit('CUDA out of memory')"]
    with pytest.raises(TrainingFailed, match=r"ended with 1\. the GPU's memory is too small.*\n.*loading"):
        run_program("tiny", stack, command, log, {})
    assert run_program("tiny", stack, [sys.executable, "-c", ""], log, {}).gpu_joules is None


def test_a_trainer_ends_with_the_one_who_started_it_even_when_that_is_killed(tmp_path: Path) -> None:
    pid_file, log = tmp_path / "pid", tmp_path / "log"
    child = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    parent = (
        "import sys; from pathlib import Path; from envsim_core.training.running import run_program; "
        "from envsim_core.training.stacks import Stack; "
        f"run_program('t', Stack('train', Path({str(tmp_path)!r})), [sys.executable, '-c', {child!r}], "
        f"Path({str(log)!r}), {{}})"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT)
    while not (pid_file.exists() and pid_file.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    pid = int(pid_file.read_text())
    while Path(f"/proc/{pid}").exists() and "State:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        time.sleep(0.05)  # the test's own time limit is the only clock here


def test_every_library_of_a_trainer_uses_as_many_threads_as_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKL_NUM_THREADS", "7")  # as Snakemake sets it for a job
    program = (
        "import os; print(*(os.environ[n] for n in os.environ if n.endswith('_NUM_THREADS')), file=open('t', 'w'))"
    )
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-c", program]
    run_program("tiny", fake_stack(tmp_path), command, tmp_path / "log", trainer_variables(Recipe(gpus=0), SFT, 2))
    assert set((tmp_path / "t").read_text().split()) == {"2"}


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_that_was_not_made_whole_from_this_lock_is_not_ready(tmp_path: Path, name: str) -> None:
    (tmp_path / LOCK).parent.mkdir(parents=True)
    (tmp_path / LOCK).write_text("version = 1")
    folder = stack_folder(name, tmp_path)
    (folder / "bin").mkdir(parents=True)
    assert ready_stack(name, tmp_path) is None, "killed before the marker was written"
    (folder / MARKER).write_text(json.dumps({"made_from": "another lock"}))
    assert ready_stack(name, tmp_path) is None
    with pytest.raises(UnknownName):
        stack_folder("trian", tmp_path)


def test_the_report_draws_losses_and_the_held_out_curve(tmp_path: Path) -> None:
    look = {
        "n": 8, "reward": 0.25, "reward_sd": 0.1, "config_match": 2, "feedback_match": 3, "with_collateral": 1,
        "by_changes": {"0": [1, 4], "1": [1, 4], "2": [0, 0], "3+": [0, 0]},
    }  # fmt: skip
    card = {
        "training": "tiny-rl", "steps": 20, "seconds": 61.0, "gpus": 0, "gpu_hours": 0.0, "gpu_kwh": None,
        "recipe": "r.yaml", "data": {"sha256": "a" * 64},
        "gain": {"reward": 0.0621, "low": -0.01, "high": 0.1342, "rows": 8},
    }  # fmt: skip
    points = [{"step": step, "sampled": look, "greedy": look} for step in (0, 20)]
    for name, value in (
        ("run_card", card),
        ("losses", {"steps": 20, "points": [{"step": 10, "loss": 2.0}, {"step": 20, "loss": 1.0}]}),
        ("curve", {"reward": "verifier", "points": points}),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    section = training([read_training(tmp_path)])
    environment = Environment(loader=PackageLoader("envsim_core", "report"), autoescape=True, undefined=StrictUndefined)
    drawn = environment.get_template(section.template).render(**section.context)
    assert "Loss on the training rows: 2.000 at step 10, 1.000 at step 20" in drawn
    by_changes = "0 (n = 4) 0.250 at step 0, 0.250 at step 20; 1 (n = 4) 0.250 at step 0, 0.250 at step 20</figcaption>"
    assert by_changes in drawn, "a line for what has rows"
    assert drawn.count("<svg") == 3
    assert "+0.062 [-0.010, +0.134], n = 8 rows" in drawn
    assert "20 steps in 61 s on CPU" in drawn
