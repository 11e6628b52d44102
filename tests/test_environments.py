"""Environments: every built-in one keeps the conventions that the sources, the executor and the strata rely on."""

from __future__ import annotations

import ast
import inspect
import json
import random
import typing
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from envsim_core import environments
from envsim_core.errors import UnknownName

NAMES = environments.names()
ALLOWED_IMPORTS = {"__future__", "datetime", "decimal", "random", "typing"}
FORBIDDEN_NAMES = {"open", "exec", "eval", "compile", "__import__", "input", "print", "id", "hash", "globals", "vars"}
FORBIDDEN_ATTRIBUTES = {"now", "today", "utcnow", "urandom", "SystemRandom", "seed"}
SIZE_BOUNDS = {1: (900, 2_700), 10: (13_000, 22_000), 150: (200_000, 320_000)}
CALLS = 400


def environment_class(module: ModuleType) -> type:
    """The one class that an environment module defines."""
    classes = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]
    assert len(classes) == 1, f"{module.__name__} defines {len(classes)} classes"
    return typing.cast(type, classes[0])


def tool_names(cls: type) -> list[str]:
    return [name for name, value in vars(cls).items() if inspect.isfunction(value) and not name.startswith("_")]


def start(cls: type, state: dict[str, Any]) -> Any:
    instance = cls()
    for key, value in json.loads(json.dumps(state)).items():
        setattr(instance, key, value)
    return instance


def count_changes(before: Any, after: Any) -> int:
    """|Δ|: recursive through objects only, so that an array or a whole object counts once."""
    if isinstance(before, dict) and isinstance(after, dict):
        both = sum(count_changes(before[key], after[key]) for key in before.keys() & after.keys())
        return both + len(before.keys() ^ after.keys())
    return int(json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True))


def plurals(word: str) -> list[str]:
    return [word, word + "s", word + "es", word[:-1] + "ies", "people" if word == "person" else word]


def index(value: Any, found: dict[str, list[Any]], field: str = "") -> None:
    """Collect what a policy can see: the keys of each object and the values of each field, by name."""
    if isinstance(value, dict):
        found.setdefault("keys of " + field, []).extend(value)
        for key, child in value.items():
            index(child, found, key)
    elif isinstance(value, list):
        for child in value:
            index(child, found, field)
    else:
        found.setdefault(field, []).append(value)


def candidates(found: dict[str, list[Any]], name: str) -> list[Any]:
    words = name.split("_")
    for i in range(len(words)):
        suffix = "_".join(words[i:])
        stem = suffix.removesuffix("_id")
        values = list(found.get(suffix, []))
        values += [key for plural in plurals(stem) for key in found.get("keys of " + plural, [])]
        if values:
            return values
    return []


def draw(rng: random.Random, found: dict[str, list[Any]], name: str, annotation: Any) -> Any:
    """An argument from the parameter's name, its type and the live state, now and then a wrong one."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return rng.choice(inner) if rng.random() < 0.95 else "no-such-option"
    if origin is list:
        singular = name[:-3] + "y" if name.endswith("ies") else name.removesuffix("s")
        items = [draw(rng, found, singular, inner[0]) for _ in range(rng.randrange(0, 4))]
        return list(dict.fromkeys(items))
    if type(None) in inner:
        choices = [a for a in inner if a is not type(None)]
        return None if rng.random() < 0.3 else draw(rng, found, name, choices[0])
    if annotation is bool:
        return rng.random() < 0.5
    known = [value for value in candidates(found, name) if type(value) is annotation]
    if known and rng.random() < (0.93 if annotation is str else 0.4):
        return rng.choice(known)
    if annotation is int:
        return rng.choice([rng.randrange(1, 6), rng.randrange(1, 6), rng.randrange(1, 60), -1, 0])
    if annotation is float:
        return rng.choice([round(rng.uniform(0.5, 60), 2), float(rng.randrange(1, 30)), 0.0, -5.0, 1e7])
    assert annotation is str, f"{name}: {annotation}"
    return rng.choice(["unknown", "two words", "new.name.v2", "12.50", "3", ""])


def explore(name: str, size: int, seed: int, calls: int = CALLS) -> Iterator[tuple[str, Any, Any, Any, Any]]:
    """A seeded random walk: (tool, arguments, observation, state before, state after) for each call."""
    module = environments.load(name)
    cls = environment_class(module)
    tools, rng = tool_names(cls), random.Random(seed)
    hints = {tool: typing.get_type_hints(getattr(cls, tool)) for tool in tools}
    for walk in range(calls // 25):
        instance = start(cls, module.scenario(random.Random(f"{seed}/{walk}"), size))
        text = json.dumps(vars(instance), sort_keys=True)
        for _ in range(25):
            before = json.loads(text)
            found: dict[str, list[Any]] = {}
            index(before, found)
            tool = rng.choice(tools)
            arguments = {
                parameter.name: draw(rng, found, parameter.name, hints[tool][parameter.name])
                for parameter in list(inspect.signature(getattr(cls, tool)).parameters.values())[1:]
                if parameter.default is parameter.empty or rng.random() < 0.7
            }
            given = json.dumps(arguments)
            observation = json.loads(json.dumps(getattr(instance, tool)(**arguments), allow_nan=False))
            assert json.dumps(arguments) == given, f"{name}.{tool} changed its arguments"
            text = json.dumps(vars(instance), sort_keys=True, allow_nan=False)
            yield tool, arguments, observation, before, json.loads(text)


@cache
def strata(name: str) -> tuple[Counter[str], Counter[str]]:
    """How often each stratum came up in an exploration of two sizes, and each tool's successes."""
    seen: Counter[str] = Counter()
    successes: Counter[str] = Counter()
    for size in (1, 3):
        for tool, arguments, observation, before, after in explore(name, size, seed=size, calls=700):
            delta = count_changes(before, after)
            if observation["success"] is not True:
                seen["failure"] += 1
                continue
            successes[tool] += 1
            if delta == 0:
                seen["no_change_args" if arguments else "no_change_no_args"] += 1
            else:
                seen[f"delta_{delta}" if delta <= 12 else "beyond"] += 1
    return seen, successes


def test_there_are_enough_environments_domains_and_tools() -> None:
    modules = [environments.load(name) for name in NAMES]
    assert len(modules) >= 24
    assert len({module.DOMAIN for module in modules}) >= 24
    assert sum(len(tool_names(environment_class(module))) for module in modules) >= 250


def test_an_unknown_environment_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match='did you mean "bank"'):
        environments.load("banc")


@pytest.mark.parametrize("name", NAMES)
def test_the_code_uses_only_deterministic_parts_of_the_standard_library(name: str) -> None:
    path = Path(str(environments.load(name).__file__))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        assert set(modules) <= ALLOWED_IMPORTS, f"{path}:{getattr(node, 'lineno', 0)}: imports {modules}"
        if isinstance(node, ast.Name):
            assert node.id not in FORBIDDEN_NAMES, f"{path}:{node.lineno}: {node.id}"
    [cls] = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    for node in ast.walk(cls):
        assert not isinstance(node, ast.Name) or node.id != "Random", f"{path}:{node.lineno}: random in the class"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in FORBIDDEN_ATTRIBUTES, f"{path}:{node.lineno}: {node.func.attr}()"
    assert ast.get_docstring(tree), f"{path} has no summary"


@pytest.mark.parametrize("name", NAMES)
def test_every_tool_documents_every_parameter(name: str) -> None:
    cls = environment_class(environments.load(name))
    tools = tool_names(cls)
    assert len(tools) >= 10
    readers = [tool for tool in tools if len(inspect.signature(getattr(cls, tool)).parameters) == 1]
    assert len(readers) >= 2
    for tool in tools:
        doc = inspect.getdoc(getattr(cls, tool)) or ""
        assert doc.split("\n")[0].endswith("."), f"{name}.{tool}: the first line is one sentence"
        for parameter in list(inspect.signature(getattr(cls, tool)).parameters)[1:]:
            assert f"    {parameter}: " in doc, f"{name}.{tool}: {parameter} is not described"


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_sets_known_attributes_and_is_the_same_for_the_same_seed(name: str) -> None:
    module = environments.load(name)
    attributes = vars(environment_class(module)())
    for size in (1, 3, 10):
        one, two = (json.dumps(module.scenario(random.Random(7), size)) for _ in range(2))
        assert one == two
        assert one != json.dumps(module.scenario(random.Random(8), size))
        assert set(json.loads(one)) == set(attributes)


@pytest.mark.parametrize("size", sorted(SIZE_BOUNDS))
@pytest.mark.parametrize("name", NAMES)
def test_scenarios_have_the_promised_size(name: str, size: int) -> None:
    low, high = SIZE_BOUNDS[size]
    for seed in range(3):
        length = len(json.dumps(environments.load(name).scenario(random.Random(seed), size)))
        assert low <= length <= high, f"{name} at size {size}, seed {seed}: {length} bytes"


@pytest.mark.parametrize("name", NAMES)
def test_references_by_id_point_to_records_that_exist(name: str) -> None:
    state = environments.load(name).scenario(random.Random(3), 5)
    found: dict[str, list[Any]] = {}
    index(state, found)
    for field in [field for field in found if field.endswith("_id") and not field.startswith("keys of ")]:
        collections = [collection for collection in state if isinstance(state[collection], dict)]
        words = field.removesuffix("_id").split("_")
        targets = [p for i in range(len(words)) for p in plurals("_".join(words[i:])) if p in collections]
        if targets:
            dangling = {value for value in found[field] if value is not None} - set(state[targets[0]])
            assert not dangling, f"{name}: {field} names {sorted(dangling)}, not in {targets[0]}"


@pytest.mark.parametrize("name", NAMES)
def test_failing_calls_change_nothing_and_states_stay_json(name: str) -> None:
    failures = 0
    for tool, arguments, observation, before, after in explore(name, size=2, seed=11):
        assert isinstance(observation.get("success"), bool), f"{name}.{tool}"
        assert set(before) == set(after), f"{name}.{tool} adds or removes attributes"
        if not observation["success"]:
            failures += 1
            assert isinstance(observation["error"], str) and observation["error"], f"{name}.{tool}: no error text"
            assert before == after, f"{name}.{tool}({arguments}) failed and changed the state"
    assert failures


@pytest.mark.parametrize("name", NAMES)
def test_the_state_is_json_without_loss(name: str) -> None:
    module = environments.load(name)
    instance = start(environment_class(module), module.scenario(random.Random(5), 2))
    for _ in range(2):
        assert json.loads(json.dumps(vars(instance), allow_nan=False)) == vars(instance)
        for tool in tool_names(type(instance)):
            if len(inspect.signature(getattr(type(instance), tool)).parameters) == 1:
                getattr(instance, tool)()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_calls_give_the_same_states(name: str) -> None:
    assert list(explore(name, 2, seed=5, calls=100)) == list(explore(name, 2, seed=5, calls=100))


def turned(value: Any) -> Any:
    """The same value with the keys of every object in reverse order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", NAMES)
def test_a_call_depends_on_its_json_state_alone_and_not_on_the_order_of_keys(name: str) -> None:
    cls = environment_class(environments.load(name))
    for tool, arguments, observation, before, after in explore(name, 3, seed=9):
        fresh = start(cls, turned(before))
        assert json.loads(json.dumps(getattr(fresh, tool)(**arguments))) == observation, f"{name}.{tool}({arguments})"
        assert json.loads(json.dumps(vars(fresh))) == after, f"{name}.{tool}({arguments})"


@pytest.mark.parametrize("name", NAMES)
def test_random_calls_reach_failure_reading_and_every_tool_once(name: str) -> None:
    seen, successes = strata(name)
    assert seen["failure"] and seen["no_change_no_args"] and seen["no_change_args"]
    never = set(tool_names(environment_class(environments.load(name)))) - set(successes)
    assert not never, f"{name}: no random call to {sorted(never)} succeeded"
    assert len([delta for delta in range(1, 13) if seen[f"delta_{delta}"]]) >= 6, f"{name}: {sorted(seen)}"


def test_every_number_of_changes_up_to_twelve_comes_up_in_several_environments() -> None:
    for delta in range(1, 13):
        found = [name for name in NAMES if strata(name)[0][f"delta_{delta}"]]
        assert len(found) >= 3, f"{delta} changes only in {found}"
