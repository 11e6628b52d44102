"""Source `bfcl`: the stateful classes of the Berkeley Function Calling Leaderboard, with its ground-truth calls.

The package `bfcl-eval` is read as text and never imported: its classes run in the executor. Each class is one
environment, with one scenario for each multi-turn task that it takes part in and the task's ground-truth calls to it;
the long-context tasks are environments of their own, because their code holds more text. Between two calls the state
is JSON (_bfcl_state.py says how): a call that draws from a random generator moves its counter in the state, which
marks the transition as one that consumed hidden state.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envsim_core.config import Collect
from envsim_core.errors import BadFile, UnknownName
from envsim_core.executor import Executor
from envsim_core.records import Action, Environment, JsonObject, Scenario, Tool, content_hash
from envsim_core.sources import MissingPackage

CATEGORIES = ("base", "miss_func", "miss_param", "long_context")
LONG = "long_context"
TYPES = {"dict": "object", "float": "number", "tuple": "array", "int": "integer", "bool": "boolean", "str": "string"}
STATE, MPMATH = (Path(__file__).with_name(name) for name in ("_bfcl_state.py", "_bfcl_mpmath.py"))
CLASSES = "eval_checker/multi_turn_eval/func_source_code"
# Runs once per task in the executor, because BFCL's own loading turns a scenario into the first state.
LOADER = """

class Loader:
    def load(self, name, scenario, long_context):
        environment = globals()[name]
        thing = environment._plain()
        if hasattr(thing, "_load_scenario"):
            thing._load_scenario(scenario, long_context=long_context)
        self.loaded = environment._codec.write(thing)
"""


@dataclass(frozen=True, slots=True)
class Task:
    """One task of the leaderboard."""

    task_id: str
    category: str
    text: str
    configs: JsonObject
    classes: list[str]
    calls: list[str]


def source_files(settings: Collect) -> list[Path]:
    """The files of the package that are read. Raises MissingPackage when it is not installed."""
    root = package()
    names = [f"BFCL_v4_multi_turn_{category}.json" for category in CATEGORIES]
    return [
        STATE,
        MPMATH,
        *(root / "data" / folder / name for folder in (".", "possible_answer") for name in names),
        *sorted((root / CLASSES).glob("*.py")),
        *sorted((root / "data/multi_turn_func_doc").glob("*.json")),
    ]


def load_environments(settings: Collect, seed: int) -> list[Environment]:
    """The chosen classes with their tasks. A task whose class cannot be loaded is named on standard error.

    Raises MissingPackage without the package, BadFile for a file of another layout, UnknownName for a class.
    """
    root = package()
    tasks = [task for category in CATEGORIES for task in read_tasks(root, category)]
    used = sorted(
        {(env_id(name, task.category), name, task.category == LONG) for task in tasks for name in task.classes}
    )
    known = [found for found, _, _ in used]
    names = known if settings.environments == "all" else settings.environments
    for name in names:
        if name not in known:
            raise UnknownName("environment", name, known)
    return [_environment(root, name, long, tasks, settings) for found, name, long in used if found in names]


def env_id(class_name: str, category: str) -> str:
    """What the environment of a class is called in the tasks of a category."""
    return f"bfcl-{class_name}" + (f"-{LONG}" if category == LONG else "")


def package() -> Path:
    """The folder of the installed package, found without importing it."""
    spec = importlib.util.find_spec("bfcl_eval")
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackage(
            "source bfcl reads the package bfcl-eval, which is not installed: pip install --no-deps"
            " bfcl-eval==2026.3.23 (nothing of it is imported, so its dependencies are not needed)"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def read_tasks(root: Path, category: str) -> Iterator[Task]:
    """The tasks of one category, in the order of their file. Raises BadFile naming file, line and field."""
    name = f"BFCL_v4_multi_turn_{category}.json"
    answers = {row["id"]: row for _, row in _lines(root / "data/possible_answer" / name)}
    for number, row in _lines(root / "data" / name):
        path = root / "data" / name
        try:
            turns = answers[row["id"]]["ground_truth"]
            yield Task(
                task_id=row["id"],
                category=category,
                text="\n".join(message["content"] for turn in row["question"] for message in turn),
                configs=row["initial_config"],
                classes=row["involved_classes"],
                calls=[call for turn in turns for call in turn],
            )
        except (KeyError, TypeError) as error:
            raise BadFile(path, number, None, f"is not a task as bfcl-eval 2026.3.23 has them: {error!r}") from None


def read_call(text: str, signature: ast.arguments) -> Action:
    """A ground-truth call as name and named arguments; `signature` names those that stand without a name.

    Raises ValueError when it is not one call of plain values.
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{text!r} is not a call: {error.msg}") from None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ValueError(f"{text!r} is not one call by name")
    names = [parameter.arg for parameter in signature.args[1:]]
    if len(node.args) > len(names):
        raise ValueError(f"{text!r} has {len(node.args)} unnamed arguments, the tool has {len(names)} parameters")
    arguments = {name: ast.literal_eval(value) for name, value in zip(names, node.args, strict=False)}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ValueError(f"{text!r} has **arguments")
        arguments[keyword.arg] = ast.literal_eval(keyword.value)
    return Action(name=node.func.id, arguments=arguments)


def _environment(root: Path, name: str, long: bool, tasks: list[Task], settings: Collect) -> Environment:
    prelude, code, epilogue = environment_code(root, name, long)
    runnable = "\n\n".join((prelude, code, epilogue))
    owned = [task for task in tasks if name in task.classes and (task.category == LONG) == long]
    identity = env_id(name, LONG if long else "")
    path, _ = _class_file(root, name)
    return Environment(
        env_id=identity,
        domain=path.stem,
        summary=f"{name} of the Berkeley Function Calling Leaderboard",
        class_name=name,
        code=code,
        code_hash=content_hash(runnable),
        prelude=prelude,
        epilogue=epilogue,
        tools=list(_tools(root / "data/multi_turn_func_doc" / f"{path.stem}.json")),
        scenarios=list(_scenarios(root, name, runnable, owned[: settings.scenarios_per_environment], settings)),
    )


def _scenarios(root: Path, name: str, code: str, tasks: list[Task], settings: Collect) -> Iterator[Scenario]:
    lost: dict[str, list[str]] = {}
    with Executor(code + LOADER, "Loader", settings.limits) as executor:
        for task in tasks:
            arguments = {
                "name": name,
                "scenario": task.configs.get(name, {}),
                "long_context": task.category == LONG,
            }
            outcome = executor.run({}, Action(name="load", arguments=arguments))
            if outcome.state_after is None:
                lost.setdefault(f"{outcome.status}: {outcome.reason}", []).append(task.task_id)
                continue
            calls = list(_calls(root, name, task))
            yield Scenario(task_id=task.task_id, init_config=outcome.state_after["loaded"], task=task.text, calls=calls)


def _calls(root: Path, name: str, task: Task) -> Iterator[Action]:
    """The task's calls that this class answers: of two classes with a method, BFCL calls the one named last."""
    methods = {method: owner for owner in task.classes for method in _methods(root, owner)}
    for text in task.calls:
        called = text.partition("(")[0].strip()
        if called not in methods:
            print(f"bfcl: {task.task_id}: no class of this task has {called!r}; the call is left out", file=sys.stderr)
        elif methods[called] == name:
            yield read_call(text, _methods(root, name)[called].args)


def environment_code(root: Path, name: str, long: bool) -> tuple[str, str, str]:
    """The class with all that it imports from BFCL, between what keeps its state as JSON between calls."""
    path, module = _class_file(root, name)
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    prelude = _body(STATE)
    unread = sorted(unread_attributes(module))
    classes = [node.name for node in module.body if isinstance(node, ast.ClassDef)]
    known = ", ".join(f'"{one}": {one}' for one in classes if one != name)
    for node in reversed(module.body):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bfcl_eval."):
            wanted = {alias.name for alias in node.names}
            lines[node.lineno - 1 : node.end_lineno] = _constants(path.with_name("long_context.py"), wanted, long)
        elif isinstance(node, ast.Import) and any(alias.name == "mpmath" for alias in node.names):
            lines[node.lineno - 1 : node.end_lineno] = []
            prelude += f"\n\n{_body(MPMATH)}"
    own = "".join(lines).replace("random.Random(", "Generator(")
    return prelude, own, f"{name} = json_state({{{known}}}, {unread})({name})\n"


def unread_attributes(module: ast.Module) -> set[str]:
    """Attributes that are set somewhere and read nowhere: no call depends on them, so the state leaves them out."""
    attributes = [node for node in ast.walk(module) if isinstance(node, ast.Attribute)]
    read = {node.attr for node in attributes if isinstance(node.ctx, ast.Load)}
    updates = [node.target for node in ast.walk(module) if isinstance(node, ast.AugAssign)]
    changed = {target.attr for target in updates if isinstance(target, ast.Attribute)}
    return {node.attr for node in attributes if isinstance(node.ctx, ast.Store)} - read - changed


def _constants(path: Path, wanted: set[str], long: bool) -> list[str]:
    """The long texts that a class imports; only the long-context tasks ever read them."""
    if not long:
        return []
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    found: list[str] = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id in wanted for t in node.targets):
            found += [*lines[node.lineno - 1 : node.end_lineno], "\n"]
    return found


def _body(path: Path) -> str:
    """A file's text without its docstring."""
    text = path.read_text(encoding="utf-8")
    first = ast.parse(text).body[0]
    return "".join(text.splitlines(keepends=True)[first.end_lineno :]).strip() + "\n"


@functools.cache
def _class_file(root: Path, name: str) -> tuple[Path, ast.Module]:
    for path in sorted((root / CLASSES).glob("*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.ClassDef) and node.name == name for node in module.body):
            return path, module
    raise BadFile(root / CLASSES, None, name, "no file has this class; is it bfcl-eval 2026.3.23?")


@functools.cache
def _methods(root: Path, name: str) -> dict[str, ast.FunctionDef]:
    _, module = _class_file(root, name)
    cls = next(node for node in module.body if isinstance(node, ast.ClassDef) and node.name == name)
    return {node.name: node for node in cls.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}


def _tools(path: Path) -> Iterator[Tool]:
    for number, row in _lines(path):
        try:
            # every description begins with the same sentences on the class
            description = row["description"].rpartition("Tool description: ")[2]
            yield Tool(name=row["name"], description=description, parameters=_schema(row["parameters"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise BadFile(path, number, None, f"is not a function description: {error!r}") from None


def _schema(schema: JsonObject) -> JsonObject:
    """BFCL's description of a parameter as JSON Schema: its types are Python's."""
    result = dict(schema)
    kind = schema.get("type")
    if kind == "any":
        del result["type"]
    elif kind in TYPES:
        result["type"] = TYPES[kind]
    if "properties" in schema:
        result["properties"] = {name: _schema(inner) for name, inner in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            result[key] = _schema(schema[key])
    return result


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadFile(path, None, None, f"cannot be read: {error.strerror}; is it bfcl-eval 2026.3.23?") from None
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise BadFile(path, number, None, f"not JSON: {error}") from None
