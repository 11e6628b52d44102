"""Source `builtin`: the environments of this package, read as text; their code only ever runs in the executor.

One file in envsim_core/environments/ is one environment: a docstring whose first line is the summary, DOMAIN, one
class whose public methods are the tools, and `scenario(rng, size)`, which returns a starting state.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envsim_core.config import Collect
from envsim_core.errors import BadConfig, BadFile, UnknownName
from envsim_core.executor import Executor
from envsim_core.records import Environment, JsonObject, Scenario, Tool, content_hash

FOLDER = Path(__file__).parent.parent / "environments"
SIMPLE_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "None": "null"}
NOT_SENT = {"scenario", "DOMAIN"}  # says how to start, not how the environment behaves


def load_environments(settings: Collect, seed: int) -> list[Environment]:
    """The chosen environments in the order of their names, each with `scenarios_per_environment` scenarios.

    An environment whose `scenario` does not return a state is named on standard error and has no scenarios. Raises
    BadFile for a file that is no environment, UnknownName for a name without a file, BadConfig for "all scenarios".
    """
    if settings.scenarios_per_environment is None:
        raise BadConfig("collect.scenarios_per_environment: null is all, and source builtin has no end; say how many")
    return [read_environment(path, settings, seed) for path in source_files(settings)]


def source_files(settings: Collect) -> list[Path]:
    """The chosen environments' files in the order of their names; UnknownName for a name without a file."""
    files = {path.stem: path for path in sorted(FOLDER.glob("*.py")) if path.stem != "__init__"}
    chosen = list(files) if settings.environments == "all" else settings.environments
    for name in chosen:
        if name not in files:
            raise UnknownName("environment", name, files)
    return [files[name] for name in sorted(set(chosen))]


def read_environment(path: Path, settings: Collect, seed: int) -> Environment:
    """One file as an environment with its scenarios; see `load_environments`."""
    text = path.read_text(encoding="utf-8")
    try:
        module = ast.parse(text)
    except SyntaxError as error:
        raise BadFile(path, error.lineno, None, f"not Python: {error.msg}") from None
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    if len(classes) != 1:
        raise BadFile(path, None, None, f"an environment file has one class, this has {len(classes)}")
    if not any(isinstance(node, ast.FunctionDef) and node.name == "scenario" for node in module.body):
        raise BadFile(path, None, "scenario", "is missing: def scenario(rng: Random, size: int) -> dict[str, Any]")
    code = _without(text, module)
    return Environment(
        env_id=path.stem,
        domain=_constant(path, module, "DOMAIN"),
        summary=(ast.get_docstring(module) or "").partition("\n")[0].strip(),
        class_name=classes[0].name,
        code=code,
        code_hash=content_hash(code),
        tools=[read_tool(path, node) for node in _tools(classes[0])],
        scenarios=list(_scenarios(path, text, classes[0].name, settings, seed)),
    )


def read_tool(path: Path, function: ast.FunctionDef) -> Tool:
    """A method's signature, annotations and docstring as an OpenAI function schema.

    Raises BadFile for a parameter that no schema can describe.
    """
    description, about = _docstring(ast.get_docstring(function) or "")
    arguments = function.args
    if arguments.vararg or arguments.kwarg or arguments.posonlyargs:
        raise BadFile(path, function.lineno, function.name, "a tool takes named parameters, not *args, **kwargs or /")
    positional = arguments.args[1:]
    defaults: dict[str, ast.expr] = dict(
        zip((a.arg for a in positional[len(positional) - len(arguments.defaults) :]), arguments.defaults, strict=True)
    )
    defaults |= {a.arg: d for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None}
    properties: JsonObject = {}
    required: list[str] = []
    for parameter in (*positional, *arguments.kwonlyargs):
        name = parameter.arg
        try:
            schema = _schema(parameter.annotation)
        except ValueError as error:
            raise BadFile(path, parameter.lineno, f"{function.name}.{name}", str(error)) from None
        if name in about:
            schema["description"] = about[name]
        if name in defaults:
            schema["default"] = _literal(path, function.name, name, defaults[name])
        else:
            required.append(name)
        properties[name] = schema
    parameters = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return Tool(name=function.name, description=description, parameters=parameters)


def _tools(cls: ast.ClassDef) -> list[ast.FunctionDef]:
    return [
        node
        for node in cls.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not node.decorator_list
    ]


def _scenarios(path: Path, text: str, class_name: str, settings: Collect, seed: int) -> Iterator[Scenario]:
    with Executor(text, class_name, settings.limits) as executor:
        for number in range(settings.scenarios_per_environment or 0):
            outcome = executor.scenario(f"{seed}/{path.stem}/{number}", settings.size)
            if outcome.state_after is None:
                print(f"{path}: scenario() {outcome.status}: {outcome.reason}; no scenarios used", file=sys.stderr)
                return
            yield Scenario(task_id=f"{path.stem}-{number}", init_config=outcome.state_after)


def _without(text: str, module: ast.Module) -> str:
    """The file's text without what only the source needs, the imports of that included."""
    lines = text.splitlines(keepends=True)
    removed = [node for node in module.body if NOT_SENT & _defined(node)]
    unneeded = _used(removed) - _used([node for node in module.body if node not in removed])
    for node in reversed(module.body):
        if node in removed:
            del lines[node.lineno - 1 : node.end_lineno]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias for alias in node.names if (alias.asname or alias.name.split(".")[0]) not in unneeded]
            if len(names) < len(node.names):
                node.names = names
                lines[node.lineno - 1 : node.end_lineno] = [ast.unparse(node) + "\n"] if names else []
    return re.sub(r"\n{4,}", "\n\n\n", "".join(lines)).strip() + "\n"


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {node.name} if isinstance(node, ast.FunctionDef) else set()


def _used(nodes: list[ast.stmt]) -> set[str]:
    """The names that statements read; a text that could be a quoted annotation counts as one."""
    names: set[str] = set()
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            names.add(node.value)
    return names


def _constant(path: Path, module: ast.Module, name: str) -> str:
    for node in module.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                return node.value.value
            raise BadFile(path, node.lineno, name, "is not a text")
    raise BadFile(path, None, name, f'is missing: {name} = "..."')


def _literal(path: Path, tool: str, parameter: str, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise BadFile(path, node.lineno, f"{tool}.{parameter}", "its default is not a plain value") from None


def _schema(annotation: ast.expr | None) -> JsonObject:
    """The JSON Schema of an annotation. Raises ValueError saying what was found."""
    match annotation:
        case ast.Name(id="Any"):
            return {}
        case ast.Name(id=("list" | "List")):
            return {"type": "array", "items": {}}
        case ast.Name(id=("dict" | "Dict")):
            return {"type": "object"}
        case ast.Name(id=name) if name in SIMPLE_TYPES:
            return {"type": SIMPLE_TYPES[name]}
        case ast.Constant(value=None):
            return {"type": "null"}
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return {"anyOf": [option for side in (left, right) for option in _options(_schema(side))]}
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return {"anyOf": [*_options(_schema(inner)), {"type": "null"}]}
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=elements)):
            return {"anyOf": [option for element in elements for option in _options(_schema(element))]}
        case ast.Subscript(value=ast.Name(id=("list" | "List")), slice=inner):
            return {"type": "array", "items": _schema(inner)}
        case ast.Subscript(value=ast.Name(id=("dict" | "Dict")), slice=ast.Tuple(elts=[_, inner])):
            return {"type": "object", "additionalProperties": _schema(inner)}
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            values = ast.literal_eval(inner)
            values = list(values) if isinstance(values, tuple) else [values]
            return {"type": SIMPLE_TYPES.get(type(values[0]).__name__, "string"), "enum": values}
    found = ast.unparse(annotation) if annotation is not None else "nothing"
    raise ValueError(f"its annotation is {found}; a tool takes str, int, float, bool, list, dict, Literal, X | None")


def _options(schema: JsonObject) -> list[JsonObject]:
    options: list[JsonObject] = schema.get("anyOf", [schema])
    return options


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """A Google-style docstring as (what stands before its sections, parameter descriptions)."""
    head, _, rest = text.partition("\nArgs:\n")
    description = re.split(r"\n(?:Returns|Raises|Yields):\n", head)[0]
    about: dict[str, str] = {}
    name = ""
    for line in rest.splitlines():
        if line and not line.startswith(" "):
            break  # the next section
        found = re.match(r" {2,4}(\w+)(?: \([^)]*\))?:\s*(.*)", line)
        if found:
            name = found[1]
            about[name] = found[2].strip()
        elif name and line.strip():
            about[name] += " " + line.strip()
    return " ".join(description.split()), about
