"""Trajectory files of source `published`: per task a list of steps, the first of which carries the first state.

A step is {action: {name, arguments}, observation, config}; a step without `config` left the state as it was. The code
stands in the row as `env_code`, or in an EnvScaler metadata file under the row's `env_id`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envsim_core.errors import BadFile
from envsim_core.records import Action, Environment, JsonObject, content_hash
from envsim_core.sources._published_floats import Recording, Step
from envsim_core.sources.published import RawRow, find_class

STEPS = ("trajectory", "steps", "trajectories")  # the name of the list of steps; the first that is there


def is_trajectory(value: Any) -> bool:
    """Whether a row holds a list of steps."""
    return isinstance(value, dict) and any(isinstance(value.get(name), list) for name in STEPS)


def read_trajectory(row: RawRow, metadata: Mapping[str, Environment]) -> tuple[Environment, Recording]:
    """One row as its environment and what was recorded. Raises BadFile naming file, row and field."""
    value = row.value
    field = next(name for name in STEPS if isinstance(value.get(name), list))
    task: JsonObject = value.get("task_info", value)
    env_id, task_id = row.label(task, "env_id"), row.label(task, "task_id")
    steps = value[field]
    if not steps or not isinstance(steps[0], dict) or not isinstance(steps[0].get("config"), dict):
        raise row.bad(f"{field}[0].config", "is missing: the first step carries the first state")
    first = state = steps[0]["config"]
    recorded: list[Step] = []
    for number, step in enumerate(steps):
        if not isinstance(step, dict):
            raise row.bad(f"{field}[{number}]", "is not an object")
        if step.get("action") is None:
            if number == 0:
                continue  # carries the state alone
            raise row.bad(f"{field}[{number}].action", "is missing")
        if number == 0:
            raise row.bad(f"{field}[0].action", "is a call, but the first step carries the state before any call")
        state = step.get("config") or state
        if not isinstance(state, dict):
            raise row.bad(f"{field}[{number}].config", "is not an object")
        action = step["action"]
        if not isinstance(action, dict) or not isinstance(action.get("name"), str):
            raise row.bad(f"{field}[{number}].action", "is not an object with a name")
        call = Action(name=action["name"], arguments=row.arguments(action))
        recorded.append(Step(call, row.observation(step), state))
    text = task.get("task", "")
    recording = Recording(f"{row.path}: row {row.row}", task_id, text if isinstance(text, str) else "", first, recorded)
    return _environment(row, env_id, recorded, metadata), recording


def _environment(row: RawRow, env_id: str, steps: list[Step], metadata: Mapping[str, Environment]) -> Environment:
    code = row.value.get("env_code")
    if isinstance(code, str):
        return Environment(
            env_id=env_id,
            domain="",
            summary="",
            class_name=find_class(code, env_id, steps[0].action.name if steps else ""),
            code=code,
            code_hash=content_hash(code),
            tools=[],
            scenarios=[],
        )
    if env_id not in metadata:
        why = "has no env_code, and no metadata file in collect.files knows this env_id"
        raise BadFile(row.path, row.line, f"row {row.row}: {env_id}", why)
    return metadata[env_id]
