"""Running: one trainer as a child that never outlives whoever started it, its words in a log, its cost in a card."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envsim_core.errors import EnvSimError
from envsim_core.serving import watcher
from envsim_core.training.operators import operators_folder, ready_operators
from envsim_core.training.stacks import ROOT, Stack

GRACE_S = 20.0  # that a trainer has to end by itself once it is asked to
SAMPLE_S = 5.0  # between two readings of the GPUs' power
TAIL_LINES = 15
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
CAUSES = (
    (
        r"out of memory|OutOfMemory",
        "the GPU's memory is too small: a smaller batch, more GPUs, or a recipe with offload",
    ),
    (
        r"address already in use|EADDRINUSE",
        "the port is taken: leave `port` out of the recipe, so that a free one is used",
    ),
    (r"Killed|SIGKILL|-9\b", "it was killed; main memory may have been too small (`memory_mb` in the recipe)"),
)


class TrainingFailed(EnvSimError):
    """A trainer ended with an error, or what it was asked for cannot be done on this machine."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of a trainer took."""

    seconds: float
    gpu_joules: float | None


def run_program(
    what: str, stack: Stack, command: list[str], log: Path, variables: Mapping[str, str], append: bool = False
) -> Cost:
    """Run a program of a stack to its end; what it says goes to `log`.

    It ends with this process, however that ends. Raises TrainingFailed with the likely cause and the end of the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = stack_environment(stack) | dict(variables)
    started = time.monotonic()
    with (
        open(log, "ab" if append else "wb") as said,
        ready_operators(operators_folder(stack)),
        _power() as joules,
    ):
        child = subprocess.Popen(
            [sys.executable, watcher.__file__, str(GRACE_S), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=environment,
        )
        with _passed_on(child):
            assert child.stdout is not None
            status = _status(child.stdout.read())
            child.wait()
    if status != 0:
        tail = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()[-TAIL_LINES * 3 :]
        cause = next(
            (f"{hint}. " for pattern, hint in CAUSES if re.search(pattern, "\n".join([*tail, f"{status}"]))), ""
        )
        shown = "\n".join(line for line in tail if line.strip())[-3000:]
        raise TrainingFailed(f"{what}: the trainer ended with {status}. {cause}Its log {log} ends with:\n{shown}")
    return Cost(round(time.monotonic() - started, 1), joules())


def ask_program(what: str, stack: Stack, module: str, settings: Path, variables: Mapping[str, str]) -> str:
    """Run a short program of a stack and give its standard output back. Raises TrainingFailed."""
    done = subprocess.run(
        [str(stack.python), "-m", module, str(settings)],
        env=stack_environment(stack) | dict(variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise TrainingFailed(f"{what}: {module} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def stack_environment(stack: Stack) -> dict[str, str]:
    """The variables that a program of a stack gets: this project on its path, and nothing that reports elsewhere."""
    kept = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    return kept | {
        "PATH": f"{stack.folder / 'bin'}:{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "TORCH_EXTENSIONS_DIR": str(operators_folder(stack)),
        "WANDB_DISABLED": "true",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def thread_variables(threads: int) -> dict[str, str]:
    """How many threads each library of a trainer may use.

    Whoever started the trainer may have said it for some of them (Snakemake does); libraries that disagree wait for
    each other.
    """
    return dict.fromkeys(THREADS, str(max(1, threads)))


def _status(said: bytes) -> int | str:
    """How the watched program ended, from what the watcher said."""
    for line in reversed(said.decode(errors="replace").splitlines()):
        with contextlib.suppress(ValueError):
            told: dict[str, Any] = json.loads(line)
            if "ended" in told:
                return int(told["ended"])
            if "error" in told:
                return str(told["error"])
    return "no status: it was stopped"


@contextlib.contextmanager
def _passed_on(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the child before this process ends, also when it is asked to by SIGTERM."""

    def asked(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, asked) if main else None
    try:
        yield
    finally:
        if child.stdin is not None:
            child.stdin.close()  # the watcher's sign to end what it started
        child.wait()
        if main:
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _power() -> Iterator[Any]:
    """A function that gives the energy in joules that the machine's GPUs took meanwhile; None where none says."""
    program = shutil.which("nvidia-smi")
    total, readings = 0.0, 0
    done = threading.Event()

    def read() -> None:
        nonlocal total, readings
        assert program is not None
        while not done.wait(SAMPLE_S):
            query = [program, "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
            answer = subprocess.run(query, capture_output=True, text=True)
            with contextlib.suppress(ValueError):
                total += sum(float(line) for line in answer.stdout.split()) * SAMPLE_S
                readings += 1

    thread = threading.Thread(target=read, daemon=True) if program else None
    if thread:
        thread.start()
    try:
        yield lambda: round(total) if readings else None
    finally:
        done.set()
        if thread:
            thread.join()
