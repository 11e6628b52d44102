"""SLURM: the profile `slurm` on a real slurmctld and slurmd, which cluster/devcluster starts on this machine.

These tests need root on a Debian machine; without it they fail and say what to do. `make test` leaves them out where
they cannot run and SLURM=1 was not asked for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DEVCLUSTER = ROOT / "cluster/devcluster"
DAEMONS = Path("/run/envsim-devcluster")
REMEDY = "these tests need root and Debian's packages slurm-wlm and munge; without them: pytest -m 'not slurm'"

TINY = ("collect={environments: [bank, library, web_shop]}", "models=[noisy]")
ONE_JOB = "collect={environments: [bank, library, web_shop], shards: 1}"  # other shards, the same transitions
FINAL = (
    "collect/environments.jsonl", "collect/transitions.jsonl", "audit/audited.jsonl", "audit/report.json",
    "stratify/benchmark.jsonl", "stratify/composition.json", "prompts/requests.jsonl", "infer/noisy/completions.jsonl",
    "score/noisy/verdicts.parquet", "score/noisy/summary.json", "report/leaderboard.json", "report/leaderboard.md",
    "report/leaderboard.parquet", "report/strata.parquet", "report/index.html",
)  # fmt: skip

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


class Workflow:
    """A run of the workflow that goes on while a test disturbs it."""

    def __init__(self, profile: str, results: Path, target: str, *options: str, **environment: str) -> None:
        self.said = results.with_suffix(".log")
        command = [
            sys.executable, "-m", "snakemake", "--nolock", "--profile", f"cluster/{profile}", *options,
            "--configfile", "configs/ci.yaml", "--config", f"results={results}",
            *(TINY if target == "all" else (ONE_JOB,)), "--", target,
        ]  # fmt: skip
        with self.said.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def end(self, timeout: float) -> tuple[int, str]:
        """The exit status, and all that was said."""
        status = self.process.wait(timeout)
        return status, self.said.read_text()

    def running_job(self, rule: str) -> str:
        """The SLURM id of a job of this rule, as soon as one runs."""
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            for line in run("squeue", "--noheader", "--states=RUNNING", "--format=%i %k").stdout.splitlines():
                job, _, comment = line.partition(" ")
                if comment.startswith(f"rule_{rule}") and f"SLURM jobid {job} " in self.said.read_text():
                    return job
            time.sleep(0.2)
        raise AssertionError(f"no job of rule {rule} runs: {self.said.read_text()}")


@contextmanager
def workflow(results: Path, target: str = "all", **environment: str) -> Iterator[Workflow]:
    """A run under the profile `slurm`, ended with its jobs when the test fails."""
    options = ("--slurm-init-seconds-before-status-checks", "7", "--latency-wait", "5")
    started = Workflow("slurm", results, target, *options, **environment)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.send_signal(signal.SIGINT)
            started.process.wait(60)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the same run under the profile `local`."""
    results = tmp_path_factory.mktemp("local") / "results"
    status, said = Workflow("local", results, "all").end(120)
    assert status == 0, said
    return results


def assert_same(results: Path, local: Path, names: tuple[str, ...] = FINAL) -> None:
    for name in names:
        assert (results / name).read_bytes() == (local / name).read_bytes(), name


def test_the_profile_gives_the_bytes_of_the_local_one_also_when_a_job_is_cancelled(
    cluster: None, local: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    with workflow(results) as started:
        cancelled = started.running_job("collect_transitions")
        assert run("scancel", cancelled).returncode == 0
        status, said = started.end(200)
    assert status == 0, said
    assert f"SLURM-job '{cancelled}' failed, SLURM status is: 'CANCELLED'" in said
    assert_same(results, local)


def test_a_controller_that_comes_back_costs_nothing_but_the_wait(cluster: None, local: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    with workflow(results, str(results / "collect/transitions.jsonl")) as started:
        job = started.running_job("collect_transitions")
        # a job whose srun finds no controller waits for minutes before it asks again
        wait_until(lambda: f"{job}.0 " in run("squeue", "--steps", "--noheader", "--format=%i ").stdout)
        stop_controller()
        wait_until(lambda: "SLURM does not answer" in started.said.read_text())
        assert run(DEVCLUSTER, "start").returncode == 0
        status, said = started.end(120)
    assert status == 0, said
    assert "SLURM answers again" in said
    assert "Error in rule" not in said
    assert_same(results, local, ("collect/transitions.jsonl",))


def test_a_controller_that_stays_away_ends_the_run_with_an_error(cluster: None, local: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    target = str(results / "collect/transitions.jsonl")
    with workflow(results, target, ENVSIM_SLURM_PATIENCE_S="5") as started:
        started.running_job("collect_transitions")
        stop_controller()
        status, said = started.end(60)
    assert status == 1
    assert "SLURM has not answered for" in said
    assert "scancel --name" in said
    assert run(DEVCLUSTER, "start").returncode == 0
    wait_for_empty_queue()
    with workflow(results, target) as again:
        status, said = again.end(90)
    assert status == 0, said
    assert_same(results, local, ("collect/transitions.jsonl",))


def test_without_a_controller_a_run_does_not_begin(cluster: None, tmp_path: Path) -> None:
    stop_controller()
    with workflow(tmp_path / "results") as started:
        status, said = started.end(60)
    assert status == 1
    assert "no SLURM controller answers" in said
    assert run(DEVCLUSTER, "start").returncode == 0


def stop_controller() -> None:
    """As a restart does it: the controller writes down what it knows. Killed, it may lose jobs just submitted."""
    os.kill(pid("slurmctld"), signal.SIGTERM)
    wait_until(lambda: "is UP" not in run("scontrol", "ping").stdout)


def wait_for_empty_queue() -> None:
    run("bash", "-c", "squeue --noheader --format %A | xargs --no-run-if-empty scancel")
    wait_until(lambda: not run("squeue", "--noheader").stdout)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "waited 30 s"
        time.sleep(0.1)
