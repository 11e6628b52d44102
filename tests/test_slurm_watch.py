"""The watch over SLURM's queue without a cluster: what it refuses, and a job that the queue has forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from envsim_core.slurm import PATIENCE, ControllerAway, keep_watch

GONE, RUNS = SimpleNamespace(external_jobid="7"), SimpleNamespace(external_jobid="8")


def queue_without_job_7() -> SimpleNamespace:
    """What the plugin looks like to the watch; its queue lists job 8 alone, and it goes on waiting for job 7."""

    class Executor:
        def __init__(self) -> None:
            self.failed: list[Any] = []

        def report_job_error(self, job: Any, msg: str) -> None:
            self.failed.append((job.external_jobid, msg))

        async def check_active_jobs(self, active_jobs: list[Any]) -> AsyncIterator[Any]:
            await plugin.query_job_status("squeue", None)
            for job in active_jobs:
                yield job

    async def query_job_status(command: str, logger: Any) -> tuple[dict[str, str], float]:
        return {"8": "RUNNING"}, 0.01

    plugin = SimpleNamespace(Executor=Executor, query_job_status=query_job_status, get_min_job_age=lambda: 300)
    return plugin


def still_active(executor: Any) -> list[str]:
    async def look() -> list[str]:
        return [job.external_jobid async for job in executor.check_active_jobs([GONE, RUNS])]

    return asyncio.run(look())


def test_a_job_that_the_queue_has_forgotten_is_missed_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATIENCE, "3600")
    plugin = queue_without_job_7()
    keep_watch(plugin)
    executor = plugin.Executor()
    assert still_active(executor) == still_active(executor) == ["7", "8"]
    assert executor.failed == []


def test_then_it_has_failed_and_a_job_that_runs_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATIENCE, "0")
    plugin = queue_without_job_7()
    keep_watch(plugin)
    executor = plugin.Executor()
    assert still_active(executor) == ["8"]
    assert executor.failed == [("7", "SLURM no longer knows job '7'. ")]


def test_what_the_controller_said_of_itself_holds_while_it_is_away() -> None:
    plugin = queue_without_job_7()
    answers = iter([300, None])
    plugin.get_min_job_age = lambda: next(answers)
    keep_watch(plugin)
    assert plugin.get_min_job_age() == plugin.get_min_job_age() == 300


def test_a_plugin_of_another_make_is_refused() -> None:
    with pytest.raises(ControllerAway, match="not the one that pyproject"):
        keep_watch(SimpleNamespace(Executor=object))


@pytest.mark.parametrize("seconds", ["soon", "-1", "inf", "nan"])
def test_a_patience_that_is_no_number_of_seconds_is_refused(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv(PATIENCE, seconds)
    with pytest.raises(ControllerAway, match=f"{PATIENCE} is '{seconds}'"):
        keep_watch(queue_without_job_7())
