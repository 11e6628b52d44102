"""Decontamination: what a training row must have nothing in common with, and the reason why one is left out.

| reason | the row |
|---|---|
| `task` | belongs to a task of the reference |
| `environment` | is of an environment that is held out, by name |
| `class_code` | is of a class whose code is that of a held-out one but for layout, comments and docstrings |
| `tool_code` | calls a tool whose code a held-out environment has |
| `row` | is a row of the reference: equal code, state and action |
| `near_duplicate` | is a call that is as alike one of the reference as `threshold` (similarity.py) |
| `state` | starts in a state that is as alike one of the reference as `threshold` |
"""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from envsim_core.pool import content_of
from envsim_core.records import Environment, Sample, Transition
from envsim_core.similarity import SHARED, Sketch, class_key, jaccard, similarity, sketch, tool_key, tool_keys

REASONS = ("task", "environment", "class_code", "tool_code", "row", "near_duplicate", "state")
TRAJECTORY = re.compile(r"\.\d+$")  # what collect adds to a task's name


@dataclass(frozen=True, slots=True)
class Contact:
    """What a row has in common with the reference: the reason, what of the reference, and how alike they are."""

    reason: str
    what: str
    similarity: float = 1.0


def task_names(task_id: str) -> tuple[str, ...]:
    """A task's name as its source gives it, and without the number of a trajectory."""
    return tuple(dict.fromkeys((task_id, TRAJECTORY.sub("", task_id))))


class Reference:
    """Samples and environments that no training row may touch."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._tasks: dict[tuple[str, str], str] = {}
        self._rows: dict[str, str] = {}
        self._calls: dict[str, list[tuple[Sketch, str]]] = defaultdict(list)
        self._states: list[tuple[array[int], str]] = []
        self._by_hash: dict[int, set[int]] = defaultdict(set)
        self._environments: set[str] = set()
        self._classes: dict[str, str] = {}
        self._tools: dict[str, str] = {}

    def add(self, sample: Sample, environment: Environment | None) -> None:
        """Hold a sample against every training row."""
        for key in _owners(sample.env_id, sample.code_hash, environment):
            for name in task_names(sample.task_id):
                self._tasks.setdefault((key, name), sample.sample_id)
        self._rows.setdefault(content_of(sample.code_hash, sample.state_before, sample.action), sample.sample_id)
        call = sketch(_tool(sample.code_hash, sample.action.name, environment), sample.action, sample.state_before)
        self._calls[call.tool_code].append((call, sample.sample_id))
        for value in call.state[:SHARED]:
            self._by_hash[value].add(len(self._states))
        self._states.append((call.state, sample.sample_id))

    def hold_out(self, env_id: str, environment: Environment | None) -> None:
        """Hold an environment against every training row: its name, its class, and each of its tools."""
        self._environments.add(env_id)
        if environment is not None and environment.code:
            self._classes.setdefault(class_key(environment.code), env_id)
            for tool, key in tool_keys(environment.code, environment.class_name).items():
                if not tool.startswith("_"):
                    self._tools.setdefault(key, f"{env_id}.{tool}")

    def holds_out(self, environment: Environment) -> Contact | None:
        """Whether an environment is one of those held out."""
        if environment.env_id in self._environments:
            return Contact("environment", environment.env_id)
        if environment.code and (owner := self._classes.get(class_key(environment.code))):
            return Contact("class_code", owner)
        return None

    def task(self, env_id: str, task_id: str, code_hash: str, environment: Environment | None) -> Contact | None:
        """Whether a task is one of the reference's."""
        for key in _owners(env_id, code_hash, environment):
            for name in task_names(task_id):
                if (owner := self._tasks.get((key, name))) is not None:
                    return Contact("task", owner)
        return None

    def contact(self, row: Transition | Sample, environment: Environment | None) -> Contact | None:
        """The first thing that a row has in common with the reference, in the order of REASONS; None: nothing."""
        found = self.task(row.env_id, row.task_id, row.code_hash, environment)
        if found is not None:
            return found
        if environment is not None and (found := self.holds_out(environment)) is not None:
            return found
        if row.env_id in self._environments:
            return Contact("environment", row.env_id)
        key = _tool(row.code_hash, row.action.name, environment)
        if (tool := self._tools.get(key)) is not None:
            return Contact("tool_code", tool)
        if (owner := self._rows.get(content_of(row.code_hash, row.state_before, row.action))) is not None:
            return Contact("row", owner)
        call = sketch(key, row.action, row.state_before)
        for other, name in self._calls.get(key, ()):
            index = similarity(call, other, self.threshold)
            if index >= self.threshold:
                return Contact("near_duplicate", name, index)
        for place in sorted({place for value in call.state[:SHARED] for place in self._by_hash.get(value, ())}):
            state, name = self._states[place]
            index = jaccard(call.state, state, self.threshold)
            if index >= self.threshold:
                return Contact("state", name, index)
        return None


def reference(
    samples: Iterable[Sample],
    environments: Mapping[str, Environment],
    threshold: float,
    held_out: Iterable[str] = (),
) -> Reference:
    """A reference of `samples`, and of those environments (by code hash) whose names are in `held_out`."""
    found = Reference(threshold)
    for sample in samples:
        found.add(sample, environments.get(sample.code_hash))
    names = set(held_out)
    for environment in environments.values():
        if environment.env_id in names:
            found.hold_out(environment.env_id, environment)
    for name in names:
        found.hold_out(name, None)
    return found


def _owners(env_id: str, code_hash: str, environment: Environment | None) -> tuple[str, ...]:
    """What an environment is known by: its name, and its code, should it go by another name elsewhere."""
    code = class_key(environment.code) if environment is not None and environment.code else code_hash
    return (f"name {env_id}", f"code {code}")


def _tool(code_hash: str, tool: str, environment: Environment | None) -> str:
    if environment is None or not environment.code:
        return code_hash + tool
    return tool_key(environment.code, environment.class_name, tool)
