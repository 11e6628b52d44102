"""SLURM: a job that serves its model is cancelled in the middle, on the cluster that cluster/devcluster starts."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pytest
from model_server import survivors
from project import ROOT
from serving_entries import Project, wait_until
from test_slurm import cluster, run

from envsim_core.config import ServedModel, model_entry
from envsim_core.serving.cluster import serve_command, srun_options
from envsim_core.stages.evaluate import evaluate

SAMPLE = ROOT / "tests/data/published_format_sample.json"
__all__ = ["cluster"]

# the tests of another file may have the cluster first
pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    yield made
    for pid in survivors(made.mark):
        os.kill(pid, signal.SIGKILL)


def answered(store: Path) -> int:
    return len(store.read_bytes().splitlines()) if store.exists() else 0


def eval_model(project: Project, profile: str, *options: str) -> list[str]:
    return [
        sys.executable, "-m", "snakemake", "--nolock", "--profile", f"cluster/{profile}", *options,
        "--config", f"results={project.results}", f"models_file={project.models_file}",
        f"benchmark={project.folder / SAMPLE.name}", "models=[m]", "model=m", "--", "eval_model",
    ]  # fmt: skip


def test_a_served_model_asks_slurm_for_what_its_entry_names(project: Project) -> None:
    copy(SAMPLE, project.folder)
    project.entry(gpus=2, partition="big", memory_mb=64000, runtime_min=90)
    said = run(*eval_model(project, "slurm", "--dry-run")).stdout
    for resource in ("slurm_partition=big", "gpu=2", "mem_mb=64000", "runtime=90"):
        assert resource in said
    project.entry(server="llamafactory", template="qwen3", gpus=0)
    said = run(*eval_model(project, "slurm", "--dry-run")).stdout
    assert "slurm_partition=cpu" in said
    assert "gpu=0" in said


def test_a_cancelled_job_leaves_no_server_and_the_next_run_goes_on_from_what_was_answered(
    cluster: None, project: Project
) -> None:
    benchmark = Path(copy(SAMPLE, project.folder))
    project.entry({"children": True, "delay_s": 0.3}, visible=None, concurrency=1)
    store = benchmark.with_name(f"{benchmark.stem}.m.store.jsonl")
    said = project.folder / "said.log"
    command = shlex.join(eval_model(project, "local"))
    # without a GPU from SLURM the server would not be started
    submitted = run(
        "sbatch", "--parsable", "--partition=gpu", "--gpus=1", "--mem=2000", f"--output={said}", f"--wrap={command}"
    )
    assert submitted.returncode == 0, submitted.stderr
    wait_until(lambda: answered(store) >= 2, within_s=90)
    assert run("scancel", submitted.stdout.strip()).returncode == 0
    project.nothing_is_left()
    kept = store.read_bytes()
    project.entry()
    again = run(*eval_model(project, "local", "--rerun-incomplete"), timeout=90)
    assert again.returncode == 0, again.stderr
    project.nothing_is_left()
    assert store.read_bytes().startswith(kept), "what was answered is not asked again"
    undisturbed = project.folder / "undisturbed"
    evaluate(benchmark, "m", output_dir=undisturbed, models_file=project.models_file, results=project.results)
    for part in ("completions.jsonl", "verdicts.jsonl"):
        name = f"{benchmark.stem}.m.{part}"
        assert (undisturbed / name).read_bytes() == (benchmark.parent / name).read_bytes(), name


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_model_that_is_served_in_a_job_ends_with_the_command(
    cluster: None, project: Project, number: signal.Signals
) -> None:
    project.entry({"children": True}, visible=None)
    entry = model_entry(project.models_file, "m")
    assert isinstance(entry, ServedModel)
    asked = srun_options(entry.model_copy(update={"memory_mb": 2000, "cpus": 1}), "gpu", "")
    command = serve_command("m", "127.0.0.1", 0, project.models_file, project.results, asked)
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        line = next(said for said in process.stderr if said.startswith('model "m" at'))
        assert "of the node gpu1 (no key)" in line
        assert run("squeue", "--noheader", "--format=%j").stdout.split() == ["envsim_serve"]
        with urllib.request.urlopen(line.split()[3] + "/models", timeout=60) as answered:
            assert answered.status == 200
        os.killpg(process.pid, number)
        process.wait()
        project.nothing_is_left()
        wait_until(lambda: not run("squeue", "--noheader").stdout, within_s=60)
    assert process.returncode == {signal.SIGINT: 0, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
