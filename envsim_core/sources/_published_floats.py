"""Floats of source `published`: numbers that were written as text, found and given back where a call proves it.

The published builder read floats as decimals and wrote those as text. A text that looks like a float is one when the
recorded calls come out as recorded with the number and do not with the text; what no call decides stays as it is.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from envsim_core._core import diff
from envsim_core.executor import Executor
from envsim_core.records import Action, JsonObject

FLOAT = re.compile(r"[+-]?\d+\.\d+(?:[eE][+-]?\d+)?|[+-]?\d+[eE][+-]?\d+")
MAX_KEYS = 24  # of one recording are tried one by one


@dataclass(frozen=True, slots=True)
class Step:
    """One recorded call; `after` is None where the recording does not say what the state became."""

    action: Action
    observation: str
    after: JsonObject | None


@dataclass(frozen=True, slots=True)
class Recording:
    """A first state and what happened from it; `name` says where it stands."""

    name: str
    task_id: str
    task: str
    first: JsonObject
    steps: list[Step]

    def repaired(self, keys: Iterable[str]) -> Recording:
        """The same with the texts under `keys` read as numbers, in the first state and in the arguments."""
        chosen = set(keys)
        steps = [
            Step(
                Action(name=step.action.name, arguments=as_floats(step.action.arguments, chosen)),
                step.observation,
                step.after,
            )
            for step in self.steps
        ]
        return Recording(self.name, self.task_id, self.task, as_floats(self.first, chosen), steps)


def float_keys(recording: Recording) -> list[str]:
    """The keys under which texts stand that look like floats."""
    found: set[str] = set()
    for value in (recording.first, *(step.action.arguments for step in recording.steps)):
        _collect(value, "", found)
    return sorted(found)


def proven_keys(executor: Executor, recording: Recording) -> set[str]:
    """The keys whose texts have to be numbers for the calls to come out as recorded."""
    keys = set(float_keys(recording))
    if not keys or len(keys) > MAX_KEYS:
        return set()
    reached, why = play(executor, recording.repaired(keys))
    while why and keys:  # some of them are texts: leave out the one without which the calls come furthest
        tried = {key: play(executor, recording.repaired(keys - {key})) for key in sorted(keys)}
        best = max(tried, key=lambda key: (not tried[key][1], tried[key][0]))
        if tried[best][0] <= reached and tried[best][1]:
            return set()
        keys, (reached, why) = keys - {best}, tried[best]
    return {key for key in keys if mismatch(executor, recording.repaired(keys - {key}))}


def mismatch(executor: Executor, recording: Recording) -> str:
    """Where executing the calls first departs from the recording, up to the spelling of floats; "" where nowhere."""
    return play(executor, recording)[1]


def play(executor: Executor, recording: Recording) -> tuple[int, str]:
    """Execute the calls: how many came out as recorded, and what is wrong with the next one."""
    state = recording.first
    for number, step in enumerate(recording.steps, 1):
        where = f"call {number} ({step.action.name})"
        outcome = executor.run(state, step.action)
        if outcome.state_after is None or outcome.observation is None:
            unchanged = step.after is None or not diff(plain(state), plain(step.after))
            if outcome.status == "raised" and unchanged and "error" in step.observation.lower():
                continue  # recorded as an error, and an error it is
            return number - 1, f"{where} {outcome.status}: {outcome.reason}"
        state = outcome.state_after
        if not same_observation(step.observation, outcome.observation):
            return number - 1, f"{where} says {outcome.observation[:80]!r}, recorded was {step.observation[:80]!r}"
        if step.after is not None:
            # what only a constructor sets is no part of a recorded state
            shared = {key: value for key, value in state.items() if key in step.after}
            changes = diff(plain(step.after), plain(shared))
            if changes:
                path = ".".join(map(str, changes[0].path))
                return number - 1, f"{where} gives another state in {len(changes)} places, first {path}"
    return len(recording.steps), ""


def same_observation(recorded: str, executed: str) -> bool:
    """Equal text; or, where the recording holds the JSON of an object and not its `str`, equal up to floats."""
    if recorded == executed:
        return True
    try:
        value = json.loads(recorded)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other people's invalid escapes
            other = ast.literal_eval(executed)
        return not diff({"": plain(value)}, {"": plain(json.loads(json.dumps(other)))})
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return False


def plain(value: Any) -> Any:
    """The value with every text that looks like a float as a float: two spellings of a number become one."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return float(value) if _looks_float(value) else value


def as_floats(value: Any, keys: set[str], key: str = "") -> Any:
    """The value with the texts under `keys` that look like floats as floats."""
    if isinstance(value, dict):
        return {name: as_floats(item, keys, name) for name, item in value.items()}
    if isinstance(value, list):
        return [as_floats(item, keys, key) for item in value]
    return float(value) if key in keys and _looks_float(value) else value


def _collect(value: Any, key: str, found: set[str]) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            _collect(item, name, found)
    elif isinstance(value, list):
        for item in value:
            _collect(item, key, found)
    elif _looks_float(value):
        found.add(key)


def _looks_float(value: Any) -> bool:
    return isinstance(value, str) and FLOAT.fullmatch(value) is not None and math.isfinite(float(value))
