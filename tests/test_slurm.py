"""SLURM: the profile `slurm` on a real slurmctld and slurmd, which cluster/devcluster starts on this machine.

These tests need root on a Debian machine; without it they fail and say what to do. `make test` leaves them out where
they cannot run and SLURM=1 was not asked for.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DEVCLUSTER = ROOT / "cluster/devcluster"
DAEMONS = Path("/run/envsim-devcluster")
REMEDY = "these tests need root and Debian's packages slurm-wlm and munge; without them: pytest -m 'not slurm'"

pytestmark = pytest.mark.slurm


def run(*command: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout
    )


def pid(daemon: str) -> int:
    return int((DAEMONS / f"{daemon}.pid").read_text().split()[0])


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A cluster that jobs can be sent to; one that runs already is used and left running."""
    before = run(DEVCLUSTER, "status").returncode
    # the first start installs packages
    start = run(DEVCLUSTER, "start", timeout=240)
    if start.returncode:
        pytest.fail(f"{start.stderr.strip()}\n{REMEDY}", pytrace=False)
    yield
    if before == 3:
        assert run(DEVCLUSTER, "stop").returncode == 0


def test_a_cluster_that_runs_is_not_started_again(cluster: None) -> None:
    controller = pid("slurmctld")
    again = run(DEVCLUSTER, "start")
    assert again.returncode == 0
    assert "runs already" in again.stdout
    assert pid("slurmctld") == controller


def test_a_daemon_that_died_is_seen_and_started_again_and_no_other_is(cluster: None) -> None:
    controller, node = pid("slurmctld"), pid("slurmd-cpu2")
    os.kill(node, 9)
    status = run(DEVCLUSTER, "status")
    assert status.returncode == 4
    assert "partly down (slurmd-cpu2)" in status.stdout
    assert run(DEVCLUSTER, "start").returncode == 0
    assert run(DEVCLUSTER, "status").returncode == 0
    assert pid("slurmd-cpu2") != node
    assert pid("slurmctld") == controller


def test_jobs_get_the_gpus_that_they_ask_for(cluster: None) -> None:
    for asked, seen in ((1, "0"), (2, "0,1")):
        job = run("srun", "--partition=gpu", f"--gpus={asked}", "printenv", "CUDA_VISIBLE_DEVICES")
        assert job.stdout.strip() == seen, job.stderr
    refused = run("srun", "--partition=cpu", "--gpus=1", "true")
    assert refused.returncode != 0


def test_without_root_nothing_is_started_and_one_line_says_why(cluster: None) -> None:
    for action in ("start", "stop"):
        refused = run("setpriv", "--reuid=nobody", "--clear-groups", DEVCLUSTER, action)
        assert refused.returncode == 1
        assert refused.stderr == f"devcluster: error: {action} needs root: sudo cluster/devcluster {action}\n"
    assert run(DEVCLUSTER, "status").returncode == 0
