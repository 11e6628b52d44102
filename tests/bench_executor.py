"""Bench: isolated tool calls beside a fresh interpreter per call and beside no isolation at all, in one run.

The calls are those of an exploration of built-in environments. Every contestant makes the same calls from the same
states and ends with the observation and the next state in the caller's hands. "In-process" executes the source once
per trajectory, keeps one instance, and copies its state before and after each call, as the published code does: no
limits, no isolation, and whatever a call leaves behind stays.
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from envsim_core.config import Collect, Config
from envsim_core.executor import Executor
from envsim_core.policies import Setting
from envsim_core.records import Environment, Transition
from envsim_core.sources import builtin
from envsim_core.stages.collect import explore_environment

FRESH = """
import json, sys
request = json.load(sys.stdin)
exec(request["code"], namespace := {"__name__": "environment"})
instance = namespace[request["class_name"]]()
vars(instance).update(request["state"])
returned = getattr(instance, request["name"])(**request["arguments"])
json.dump({"observation": str(returned), "state": vars(instance)}, sys.stdout)
"""


@dataclass(frozen=True)
class Trajectory:
    """Calls that follow each other, each with the state it starts from and the one it ends in."""

    environment: Environment
    rows: list[Transition]


def explore(count: int, scenarios: int, steps: int) -> list[Trajectory]:
    """Trajectories of the first `count` built-in environments, with the calls that succeeded."""
    names = [path.stem for path in builtin.source_files(Collect())][:count]
    settings = Collect(environments=names, scenarios_per_environment=scenarios, trajectories=1, steps=steps)
    found = []
    for environment in builtin.load_environments(settings, 1):
        rows = [
            row
            for row in explore_environment(environment, Config(collect=settings), Setting(settings, "", Path()))
            if row.status == "ok"
        ]
        found += [Trajectory(environment, list(group)) for _, group in groupby(rows, key=lambda row: row.task_id)]
    return found


def executors(work: list[Trajectory]) -> list[tuple[Executor, list[Transition]]]:
    """One started worker per environment with all its calls, as `collect` has it."""
    found = []
    for _, group in groupby(work, key=lambda item: item.environment.env_id):
        items = list(group)
        executor = Executor(items[0].environment.code, items[0].environment.class_name)
        executor.layers()
        found.append((executor, [row for item in items for row in item.rows]))
    return found


def isolated(work: list[Trajectory]) -> float:
    """Seconds of `Executor.run`, call by call: the next one is sent when the last one is known."""
    ready = executors(work)
    started = time.perf_counter()
    for executor, rows in ready:
        for row in rows:
            if executor.run(row.state_before, row.action).state_after != row.state_after:
                raise AssertionError(row.transition_id)
    taken = time.perf_counter() - started
    for executor, _ in ready:
        executor.close()
    return taken


def isolated_ahead(work: list[Trajectory]) -> float:
    """Seconds of `Executor.run_many`, where all calls are known beforehand."""
    ready = executors(work)
    started = time.perf_counter()
    for executor, rows in ready:
        outcomes = executor.run_many((row.state_before, row.action) for row in rows)
        for row, outcome in zip(rows, outcomes, strict=True):
            if outcome.state_after != row.state_after:
                raise AssertionError(row.transition_id)
    taken = time.perf_counter() - started
    for executor, _ in ready:
        executor.close()
    return taken


def isolated_twice(work: list[Trajectory]) -> float:
    """Seconds of two processes, each with half of the calls and a worker of its own."""
    halves = [work[: len(work) // 2], work[len(work) // 2 :]]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(len, halves)  # both have started
        return max(pool.map(isolated, halves))


def fresh(work: list[Trajectory]) -> float:
    """Seconds of one interpreter per call."""
    started = time.perf_counter()
    for item in work:
        for row in item.rows:
            request: dict[str, Any] = {"code": item.environment.code, "class_name": item.environment.class_name}
            request |= {"state": row.state_before, "name": row.action.name, "arguments": row.action.arguments}
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-B", "-c", FRESH],
                input=json.dumps(request).encode(),
                stdout=subprocess.PIPE,
                check=True,
            )
            if json.loads(done.stdout)["state"] != row.state_after:
                raise AssertionError(row.transition_id)
    return time.perf_counter() - started


def in_process(work: list[Trajectory]) -> float:
    """Seconds of exec once per trajectory and a copy of the state before and after each call."""
    started = time.perf_counter()
    for item in work:
        namespace: dict[str, Any] = {"__name__": "environment"}
        exec(item.environment.code, namespace)
        instance = namespace[item.environment.class_name]()
        vars(instance).update(copy.deepcopy(item.rows[0].state_before))
        for row in item.rows:
            before = copy.deepcopy(vars(instance))
            observation = str(getattr(instance, row.action.name)(**copy.deepcopy(row.action.arguments)))
            after = copy.deepcopy(vars(instance))
            if not (before and observation) or after != row.state_after:
                raise AssertionError(row.transition_id)
    return time.perf_counter() - started


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=int, default=8)
    parser.add_argument("--scenarios", type=int, default=4)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3, help="the best round of each contestant counts")
    chosen = parser.parse_args()
    work = explore(chosen.environments, chosen.scenarios, chosen.steps)
    calls = sum(len(item.rows) for item in work)
    few = work[:: max(1, len(work) // 8)]  # a fresh interpreter is too slow for all of them
    contestants: list[tuple[str, Callable[[list[Trajectory]], float], list[Trajectory]]] = [
        ("in-process: exec per trajectory, deepcopy before and after", in_process, work),
        ("a fresh interpreter per call, no isolation", fresh, few),
        ("Executor.run, 1 worker", isolated, work),
        ("Executor.run_many, 1 worker", isolated_ahead, work),
        ("Executor.run, 2 processes with a worker each", isolated_twice, work),
    ]
    rates: dict[str, float] = {}
    for name, measure, cases in contestants:
        size = sum(len(item.rows) for item in cases)
        rates[name] = size / min(measure(cases) for _ in range(chosen.rounds if measure is not fresh else 1))
    first, second = list(rates.values())[:2]
    with Executor("class T: pass", "T") as executor:
        layers = ", ".join(executor.isolation())
    table = Table(title=f"{calls} calls of {chosen.environments} environments; layers: {layers}")
    for heading in ("", "calls/s", "ms a call", "x in-process", "x fresh interpreter"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:,.0f}", f"{1000 / rate:.2f}", f"{rate / first:.2f}", f"{rate / second:.1f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
