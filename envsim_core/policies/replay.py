"""Policy `replay`: recorded calls, made once more; from a JSONL file, or those that the source has for each scenario.

A line of the file is one call: {"env_id", "task_id", "name", "arguments"}, in the order of the calls; further keys
are left alone, so that a transitions file of this project can be replayed too (its `action` is the call).
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from envsim_core.errors import BadFile
from envsim_core.executor import Outcome
from envsim_core.policies import Setting
from envsim_core.records import Action, Environment, JsonObject, Scenario, open_text

Calls = Mapping[tuple[str, str], list[Action]]


def create(environment: Environment, setting: Setting) -> Replay:
    """A policy for one environment. Raises BadFile when the file of calls cannot be used or has none for it."""
    if setting.collect.calls is None:
        return Replay(environment, None)
    path = Path(setting.collect.calls)
    calls = read_calls(path)
    ours = {task_id: found for (env_id, task_id), found in calls.items() if env_id == environment.env_id}
    known = {scenario.task_id for scenario in environment.scenarios}
    for task_id in sorted(ours.keys() - known):
        print(f"{path}: {environment.env_id} has no scenario {task_id!r}: its calls are left out", file=sys.stderr)
    return Replay(environment, ours)


class Replay:
    """Hands out a scenario's calls one after the other; a scenario without calls has no transitions."""

    def __init__(self, environment: Environment, calls: Mapping[str, list[Action]] | None) -> None:
        self._calls = calls
        self._waiting: list[Action] = []

    def begin(self, scenario: Scenario, task_id: str, number: int, steps: int) -> int:
        """As many calls as were recorded, once: a second trajectory would be the first one again."""
        recorded = scenario.calls if self._calls is None else self._calls.get(scenario.task_id, [])
        self._waiting = list(reversed(recorded)) if number == 0 else []
        return len(self._waiting)

    def choose(self, rng: Random, state: JsonObject) -> Action | None:
        """The next recorded call."""
        return self._waiting.pop() if self._waiting else None

    def learn(self, action: Action, outcome: Outcome, stratum: str | None) -> None:
        """Whatever comes of a call, the next one is made."""

    def end(self, first: JsonObject, last: JsonObject) -> str:
        """Every trajectory is kept."""
        return ""


@functools.lru_cache(maxsize=1)  # one file, asked for by every environment
def read_calls(path: Path) -> Calls:
    """The calls of a JSONL file by environment and task, in order. Raises BadFile naming line and field."""
    calls: dict[tuple[str, str], list[Action]] = {}
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                env_id, task_id, action = _call(path, number, line)
                calls.setdefault((env_id, task_id), []).append(action)
    if not calls:
        raise BadFile(path, None, None, 'holds no calls; expected lines {"env_id", "task_id", "name", "arguments"}')
    return calls


def _call(path: Path, number: int, line: str) -> tuple[str, str, Action]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadFile(path, number, None, f"not JSON: {error}") from None
    if not isinstance(row, dict):
        raise BadFile(path, number, None, "is not an object")
    call: Any = row.get("action", row)
    if not isinstance(call, dict):
        raise BadFile(path, number, "action", "is not an object")
    env_id, task_id, name = (
        _text(path, number, field, holder.get(field))
        for field, holder in (("env_id", row), ("task_id", row), ("name", call))
    )
    arguments = call.get("arguments", {})
    if not isinstance(arguments, dict):
        raise BadFile(path, number, "arguments", "is not an object")
    if "transition_id" in row:  # a trajectory's name is its scenario's with the number of the trajectory
        task_id = task_id.rpartition(".")[0] or task_id
    return env_id, task_id, Action(name=name, arguments=arguments)


def _text(path: Path, number: int, field: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise BadFile(path, number, field, "is missing or not a text")
    return value
