"""Cluster: a command in a SLURM job of its own, on this terminal; the job ends with this process, however that ends."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

from envsim_core.config import Serving
from envsim_core.serving import watcher
from envsim_core.serving.commands import CannotServe
from envsim_core.serving.process import STOP_WITHIN_S, left_by_sigterm

# that the command has to stop its server, and SLURM to tell it to
GRACE_S = STOP_WITHIN_S + watcher.AFTER_KILL_S + 12.0


def serve_command(model: str, host: str, port: int, models_file: object, results: object, srun: list[str]) -> list[str]:
    """The command that serves a model in the foreground; in a SLURM job, where there are options for it."""
    command = [sys.executable, "-m", "envsim_core", "serve-model", model, "--host", host, "--port", str(port)]
    command += ["--models-file", str(models_file), "--results", str(results)]
    return [*command, "--srun", shlex.join(srun)] if srun else command


def srun_options(entry: Serving, partition: str, account: str) -> list[str]:
    """What a job that serves `entry` asks of SLURM."""
    asked = {
        "job-name": "envsim_serve",  # not a name of a run's jobs, which the next run would cancel
        "partition": entry.partition or partition,
        "account": account,
        "cpus-per-task": entry.cpus,
        "mem": entry.memory_mb,
        "time": entry.runtime_min,
        "gpus": entry.gpus,
    }
    return [f"--{name}={value}" for name, value in asked.items() if value]


def run_in_job(options: Sequence[str], command: Sequence[str]) -> int:
    """Run `command` by srun with `options`, and return its status; what it says goes to standard error.

    srun that is killed leaves its job running, so a watcher, which nothing that kills this process reaches, ends it.
    """
    if shutil.which("srun") is None:
        raise CannotServe("srun is not on PATH: this is no machine from which jobs are sent to SLURM")
    with left_by_sigterm():
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", watcher.__file__, str(GRACE_S), "srun", "--ntasks=1", *options, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            for line in child.stdout:
                if "ended" in (told := json.loads(line)):
                    return int(told["ended"])
            return 1
        finally:
            child.stdin.close()
            child.wait()
