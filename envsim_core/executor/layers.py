"""Layers: what each layer of isolation is for, what to do where it is missing, and bubblewrap, which is outside all."""

from __future__ import annotations

import functools
import logging
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path

LOG = logging.getLogger("envsim_core.executor")
PROBE_S = 10.0

REMEDIES = {
    "bubblewrap": "install bubblewrap (Debian: apt-get install bubblewrap) and allow unprivileged user namespaces",
    "landlock": "Linux 5.13 or newer with landlock in CONFIG_LSM (boot parameter lsm=landlock,...)",
    "no_new_privs": "Linux 3.5 or newer",
    "privileges": "run as an ordinary user, or as root with CAP_SETUID, CAP_SETGID and CAP_SETPCAP",
    "rlimits": "run on a Unix system",
    "seccomp": "Linux with CONFIG_SECCOMP_FILTER on x86_64 or aarch64; a container must allow seccomp()",
}
_announced: set[str] = set()


def announce(layers: Mapping[str, str]) -> None:
    """Name each missing layer, once per process."""
    for name, why in layers.items():
        if why and name not in _announced:
            _announced.add(name)
            LOG.warning("executor: no %s (%s); `python -m envsim_core doctor` says what that means", name, why)


def bubblewrap(without: Iterable[str]) -> tuple[list[str], str]:
    """(the command that a worker is wrapped in, "") where bwrap works, else ([], why it does not)."""
    if "bubblewrap" in without:
        return [], "switched off by the caller"
    return _probed(shutil.which("bwrap"))


@functools.cache
def _probed(program: str | None) -> tuple[list[str], str]:
    if program is None:
        return [], "bwrap is not installed"
    python = Path(sys.executable).resolve()
    folders = {
        Path("/usr/lib"),
        Path("/lib"),
        Path("/lib64"),
        Path("/usr/lib64"),
        Path(sysconfig.get_path("stdlib")).resolve(),
        Path(sysconfig.get_path("platstdlib")).resolve(),
        Path(sys.base_prefix).resolve() / "lib",
        Path(__file__).resolve().parent,
        python,
    }
    command = [program, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--uid", "65534"]
    command += ["--gid", "65534", "--hostname", "localhost", "--proc", "/proc", "--dev", "/dev"]
    for folder in sorted(folders):  # what the interpreter itself needs, and the worker
        command += ["--ro-bind-try", str(folder), str(folder)]
    command += ["--chdir", "/", "--"]
    try:
        tried = subprocess.run(
            [*command, str(python), "-I", "-S", "-c", "import json, ctypes"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROBE_S,
            env={},
            cwd="/",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], f"{program} does not run: {error}"
    if tried.returncode:
        said = tried.stderr.decode("utf-8", "replace").strip().splitlines()
        return [], f"{program} does not run here: {said[-1] if said else f'status {tried.returncode}'}"
    return command, ""
