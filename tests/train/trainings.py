"""Trainings: what a test sees of one that runs, and of the model that it leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

from envsim_core.training.checkpoints import step_of
from envsim_core.training.running import stack_environment
from envsim_core.training.stacks import ROOT, make_stack

LOAD = """
import json, sys
from transformers import AutoModelForCausalLM, AutoTokenizer
model, told = AutoModelForCausalLM.from_pretrained(sys.argv[1], output_loading_info=True)
assert not told["missing_keys"] and not told["unexpected_keys"] and not told["mismatched_keys"], told
assert all(value.isfinite().all() for value in model.parameters())
AutoTokenizer.from_pretrained(sys.argv[1])
print(json.dumps({name: list(value.shape) for name, value in model.state_dict().items()}))
"""


def steps_seen(training: Path) -> list[int]:
    """The steps of the checkpoints whose state, which comes last, is there; what is being written is left alone."""
    return [step_of(path.parent) for path in (training / "checkpoints").glob("checkpoint-*/trainer_state.json")]


def trainers(training: Path) -> list[str]:
    """Processes whose command line names this training."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(training) in text and "pytest" not in text:
            found.append(text)
    return found


def kill_after(command: list[str], training: Path, step: int) -> None:
    """Start a training and kill it with -9 once it has a checkpoint of `step`; it leaves no process and no model."""
    process = subprocess.Popen(command, cwd=ROOT)
    while max(steps_seen(training), default=0) < step:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while trainers(training):  # the test's own time limit is the only clock here
        time.sleep(0.2)
    assert not (training / "model").exists()


def loaded(model: Path) -> dict[str, list[int]]:
    """Names and shapes of a model's weights as transformers loads them, none of them missing, all finite."""
    stack = make_stack("train")
    done = subprocess.run(
        [str(stack.python), "-c", LOAD, str(model)], env=stack_environment(stack), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    shapes: dict[str, list[int]] = json.loads(done.stdout.strip().splitlines()[-1])
    return shapes


def written(model: Path) -> dict[str, list[int]]:
    """Names and shapes of the weights in a model's file."""
    data = (model / "model.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
