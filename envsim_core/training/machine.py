"""Machine: whether what a recipe asks for is there, told in one line before anything long starts."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from envsim_core.config.recipe import Recipe
from envsim_core.training.running import TrainingFailed

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup/memory.max")


def check_machine(recipe: Recipe, where: str) -> None:
    """Raises TrainingFailed naming the first thing that is missing: GPUs, their memory, main memory, the port."""
    gpus = gpu_memory_gb()
    if recipe.gpus > len(gpus):
        raise TrainingFailed(
            f"{where}: asks for {recipe.gpus} GPU{'s' * (recipe.gpus > 1)}, this machine has {len(gpus)}; "
            "take another recipe, or run it where they are (cluster/README.md). Without a GPU: configs/train/tiny.yaml"
        )
    if recipe.gpus and recipe.gpu_memory_gb and (least := min(gpus[: recipe.gpus])) < recipe.gpu_memory_gb:
        raise TrainingFailed(
            f"{where}: asks for GPUs of {recipe.gpu_memory_gb:g} GB, one here has {least:.0f}; take a recipe for "
            "smaller ones (lora_4b.yaml), or lower gpu_memory_gb if you know that it fits"
        )
    if (free := memory_mb()) < recipe.memory_mb:
        raise TrainingFailed(
            f"{where}: asks for {recipe.memory_mb} MB of main memory, {free} are free here; free some, ask SLURM for "
            "more, or lower memory_mb in the recipe if you know that it fits"
        )
    if recipe.port is not None:
        check_port(recipe.port, where)


def check_machine_here(recipe: Recipe, where: str) -> None:
    """As check_machine, long before the training. A SLURM job says nothing about the machine that the training gets."""
    if "SLURM_JOB_ID" not in os.environ:
        check_machine(recipe, where)


def check_port(port: int, where: str) -> None:
    """Raises TrainingFailed where the port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise TrainingFailed(
                f"{where}: port {port} is taken ({error.strerror}); end what uses it, or leave `port` out of the "
                "recipe, so that a free one is used"
            ) from None


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def gpu_memory_gb() -> list[float]:
    """Memory in GB of each GPU that may be used; CUDA_VISIBLE_DEVICES is obeyed."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    answer = subprocess.run(
        [program, "--query-gpu=memory.total", "--format=csv,noheader,nounits"], capture_output=True, text=True
    )
    if answer.returncode:
        return []
    found = [float(line) / 1024 for line in answer.stdout.split()]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return found if visible is None else found[: len([name for name in visible.split(",") if name.strip()])]


def memory_mb() -> int:
    """Main memory that is free for this job: what the machine has left, or less where a job is limited."""
    rows = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
    free = int(rows["MemAvailable"].split()[0]) // 1024
    try:
        limit = CGROUP.read_text().strip()
        return free if limit == "max" else min(free, int(limit) // 2**20)
    except (OSError, ValueError):
        return free
