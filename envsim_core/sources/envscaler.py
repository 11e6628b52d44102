"""Source `envscaler`: EnvScaler's environment metadata and scenario files in, environments with checked tasks out.

`collect.files` names both kinds in any order. Metadata is an object env_id -> {env_class_name, env_class_code, tools
(OpenAI function schemas), environment_summary, environment_introduction, constraints_rules, …}; scenarios are a list
of {task_id, env_id, env_class_name, init_config, task, checklist_with_func: [{check_item, check_func}]}. Unknown keys
are left alone. Format: github.com/RUC-NLPIR/EnvScaler.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from envsim_core.checks import Checker
from envsim_core.config import Collect
from envsim_core.errors import BadFile
from envsim_core.executor import Executor
from envsim_core.records import Check, Environment, JsonObject, Scenario, Tool, content_hash, open_text
from envsim_core.sources import chosen, local_files

FORMATS = "expected an object of environments (env_id -> metadata) or a list of scenarios"


def source_files(settings: Collect) -> list[Path]:
    """The files that `collect.files` names."""
    return local_files(settings)


def load_environments(settings: Collect, seed: int) -> list[Environment]:
    """The chosen environments of all files with their scenarios, in the order of their env_ids.

    A check that holds before anything was done, or that cannot be run on the first state, tells nothing about an
    agent: it is left out, and how many were is said on standard error. An environment without scenarios is started
    from its constructor alone. Raises BadFile naming file, entry and field.
    """
    environments: dict[str, Environment] = {}
    scenarios: dict[str, list[Scenario]] = {}
    read = [(path, _json(path)) for path in local_files(settings)]
    for path, value in read:
        if isinstance(value, dict):
            for env_id, entry in value.items():
                if env_id in environments:
                    raise BadFile(path, None, env_id, "is the name of an environment of an earlier file")
                environments[env_id] = _environment(path, env_id, entry)
    for path, value in read:
        if isinstance(value, list):
            for position, entry in enumerate(value):
                env_id, scenario = _scenario(path, f"[{position}]", entry, environments)
                scenarios.setdefault(env_id, []).append(scenario)
    complete = [
        one.model_copy(update={"scenarios": scenarios.get(one.env_id, [Scenario(task_id=one.env_id, init_config={})])})
        for one in environments.values()
    ]
    dropped: Counter[str] = Counter()
    with Checker(settings.limits) as checker:
        told = [_with_telling_checks(one, settings, checker, dropped) for one in chosen(settings, complete)]
    kept = sum(len(scenario.checks) for one in told for scenario in one.scenarios)
    for why, count in sorted(dropped.items()):
        print(f"envscaler: {count} of {kept + dropped.total()} checks left out: {why}", file=sys.stderr)
    return told


def is_metadata(path: Path) -> bool:
    """Whether a file is an object of environments, by its first character."""
    with open_text(path) as handle:
        return str(handle.read(64)).lstrip("\ufeff \t\r\n").startswith("{") and path.suffix != ".jsonl"


def read_metadata(path: Path) -> dict[str, Environment]:
    """The environments of a metadata file by env_id. Raises BadFile naming file, entry and field."""
    value = _json(path)
    if not isinstance(value, dict):
        raise BadFile(path, None, None, "is a list, not an object of environments (env_id -> metadata)")
    return {env_id: _environment(path, env_id, entry) for env_id, entry in value.items()}


def _with_telling_checks(
    environment: Environment, settings: Collect, checker: Checker, dropped: Counter[str]
) -> Environment:
    scenarios = []
    with Executor(environment.runnable, environment.class_name, settings.limits) as executor:
        for scenario in environment.scenarios:
            first = executor.reset(scenario.init_config).state_after if scenario.checks else None
            checks = []
            for check in scenario.checks:
                if first is None:
                    dropped["the environment cannot be started"] += 1
                    continue
                holds, why = checker.holds(check, first, first)
                if holds:
                    dropped["true before anything was done"] += 1
                elif holds is None:
                    dropped[f"cannot be run ({why.partition(':')[0]})"] += 1
                else:
                    checks.append(check)
            scenarios.append(scenario.model_copy(update={"checks": checks}))
    return environment.model_copy(update={"scenarios": scenarios})


def _json(path: Path) -> Any:
    with open_text(path) as handle:
        try:
            value = json.load(handle)
        except json.JSONDecodeError as error:
            raise BadFile(path, error.lineno, None, f"not JSON: {error.msg} (column {error.colno})") from None
        except (ValueError, RecursionError, EOFError) as error:
            raise BadFile(path, None, None, f"cannot be read: {error}") from None
    if not isinstance(value, dict | list) or not value:
        raise BadFile(path, None, None, FORMATS)
    return value


def _environment(path: Path, env_id: str, entry: Any) -> Environment:
    if not isinstance(entry, dict):
        raise BadFile(path, None, env_id, f"is not an object; {FORMATS}")
    code = _text(path, env_id, entry, "env_class_code")
    rules = _texts(path, env_id, entry, "constraints_rules")
    introduction = "\n".join([_text(path, env_id, entry, "environment_introduction", ""), *(f"- {r}" for r in rules)])
    tools = entry.get("tools", [])
    if not isinstance(tools, list):
        raise BadFile(path, None, f"{env_id}.tools", "is not a list")
    return Environment(
        env_id=env_id,
        domain=_text(path, env_id, entry, "domain", ""),
        summary=_text(path, env_id, entry, "environment_summary", ""),
        class_name=_text(path, env_id, entry, "env_class_name"),
        code=code,
        code_hash=content_hash(code),
        tools=[_tool(path, f"{env_id}.tools[{position}]", tool) for position, tool in enumerate(tools)],
        scenarios=[],
        introduction=introduction.strip(),
    )


def _tool(path: Path, where: str, value: Any) -> Tool:
    schema = value.get("function", value) if isinstance(value, dict) else None
    if not isinstance(schema, dict):
        raise BadFile(path, None, where, "is not an object")
    parameters = schema.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(parameters, dict):
        raise BadFile(path, None, f"{where}.parameters", "is not an object")
    name, description = _text(path, where, schema, "name"), _text(path, where, schema, "description", "")
    return Tool(name=name, description=description, parameters=parameters)


def _scenario(path: Path, where: str, entry: Any, environments: dict[str, Environment]) -> tuple[str, Scenario]:
    if not isinstance(entry, dict):
        raise BadFile(path, None, where, f"is not an object; {FORMATS}")
    env_id = _text(path, where, entry, "env_id")
    if env_id not in environments:
        raise BadFile(path, None, f"{where}.env_id", f'"{env_id}" is in no metadata file; add it to collect.files')
    init_config = entry.get("init_config") or {}
    if not isinstance(init_config, dict):
        raise BadFile(path, None, f"{where}.init_config", "is not an object")
    checks = entry.get("checklist_with_func") or []
    if not isinstance(checks, list):
        raise BadFile(path, None, f"{where}.checklist_with_func", "is not a list")
    return env_id, Scenario(
        task_id=_text(path, where, entry, "task_id"),
        init_config=init_config,
        task=_text(path, where, entry, "task", ""),
        checks=[_check(path, f"{where}.checklist_with_func[{i}]", check) for i, check in enumerate(checks)],
    )


def _check(path: Path, where: str, value: Any) -> Check:
    if not isinstance(value, dict):
        raise BadFile(path, None, where, "is not an object")
    return Check(item=_text(path, where, value, "check_item", ""), code=_text(path, where, value, "check_func"))


def _text(path: Path, where: str, entry: JsonObject, key: str, default: str | None = None) -> str:
    value = entry.get(key)
    if value is None and default is not None:
        return default
    if isinstance(value, int) and not isinstance(value, bool) and key.endswith("_id"):
        return str(value)
    if not isinstance(value, str):
        raise BadFile(path, None, f"{where}.{key}", "is missing" if value is None else "is not a text")
    return value


def _texts(path: Path, where: str, entry: JsonObject, key: str) -> list[str]:
    value = entry.get(key) or []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadFile(path, None, f"{where}.{key}", "is not a list of texts")
    return value
