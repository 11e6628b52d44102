"""Runs: what a workflow that was killed left behind stops no later one, and its jobs on this machine end with it.

A run holds a lock on a file of its own (`.snakemake/envsim/<host>.<pid>.run`), which the kernel gives up when the
process ends, however it ends. So the next run can tell a lock of Snakemake's whose run goes on from one that is left
over, and a job can wait for the end of its run. Where the file system has no locks, all is as Snakemake does it.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RUN = "ENVSIM_RUN"  # tells a job which file its run holds
FOLDER = Path(".snakemake/envsim")
_held: dict[Path, int] = {}


def survive_kills(persistence: Any, dag: Any) -> None:
    """Put Snakemake's lock and its look for half-made files behind ones that need no option after a kill.

    Stages write whole files or none and keep what was paid for in stores, so that what Snakemake takes for half made
    can always be made again.
    """
    lock, check_incomplete = persistence.lock, dag.check_incomplete

    @contextmanager
    def lock_unless_abandoned(self: Any) -> Iterator[None]:
        if self.locked and hold_run() and not other_runs():
            self.cleanup_locks()
            Path(self.path, "locks").mkdir(exist_ok=True)  # which has just been removed with them
        with lock(self):
            yield

    async def make_again(self: Any) -> None:
        self.workflow.dag_settings.force_incomplete = True
        await check_incomplete(self)

    persistence.lock, dag.check_incomplete = lock_unless_abandoned, make_again


def check_first(dag: Any, check: Callable[[Any], None]) -> None:
    """Have `check` look at a workflow whose jobs are known, before any of them starts, a dry run's included.

    What it raises is shown as it is; from an input function Snakemake would show a traceback with it.
    """
    check_incomplete = dag.check_incomplete

    async def check_before(self: Any) -> None:
        check(self.workflow)
        await check_incomplete(self)

    dag.check_incomplete = check_before


def hold_run() -> bool:
    """Hold this run's file until the process ends, and let its jobs know; whether that can be done here."""
    path = (FOLDER / f"{socket.gethostname()}.{os.getpid()}.run").absolute()
    if path in _held:
        return True
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return False
    _held[path] = file
    atexit.register(path.unlink, missing_ok=True)
    os.environ[RUN] = str(path)
    return True


def go_on_as(command: Sequence[str]) -> None:
    """Let this process become `command` when it would end: all that Snakemake held and logged is put away by then.

    So signals and the exit status are the command's own, and nothing of the run stands between it and the terminal.
    """

    def become() -> None:
        for path in _held:
            path.unlink(missing_ok=True)
        os.environ.pop(RUN, None)  # a run that is over, and whose end ends no command
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.execv(command[0], list(command))

    atexit.register(become)


def other_runs() -> list[str]:
    """The files of other runs in this folder that go on, or of which another machine alone could tell."""
    alive = []
    for path in FOLDER.glob("*.run"):
        if path.absolute() in _held:
            continue
        host = path.name.rsplit(".", 2)[0]
        if host == socket.gethostname() and _is_free(path):
            path.unlink(missing_ok=True)
        else:
            alive.append(path.name)
    return alive


def end_with_run() -> None:
    """From now on this process ends when the run that started it does, for example by kill -9."""
    path = os.environ.get(RUN)
    if path:
        threading.Thread(target=_wait_for_end, args=(path,), daemon=True).start()


def _wait_for_end(path: str) -> None:
    try:
        file = os.open(path, os.O_RDONLY)
        fcntl.flock(file, fcntl.LOCK_SH)  # waits for as long as the run holds it
        os.close(file)
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGTERM)


def _is_free(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(file)
    return True
