"""Slices: the lines of an environment's source that one tool can reach, found by syntax tree; nothing is executed.

A slice is made of whole source lines, unchanged and in their order. What cannot be followed by name (computed names
of attributes, `vars`, metaclasses, …) makes everything reachable. A slice is a claim: stages/prompts.py proves it.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from envsim_core.syntax import (
    FUNCTIONS,
    Facts,
    Unsliceable,
    assigned,
    base_name,
    decorators,
    defines,
    first_line,
    initialised,
    known_decorators,
    parse,
    scan,
    signature_of,
)

MAX_STATEMENTS = 10_000  # of the module and its class: each takes about 2 KB here
MAX_BLANK = 2  # blank lines kept above what is kept
# Bases that call no method of their subclass.
PLAIN_BASES = {"object", "ABC", "Generic", "Protocol"}
# Members that change what construction or attribute access means.
SPECIAL = {
    "__getattr__", "__getattribute__", "__setattr__", "__delattr__", "__new__", "__init_subclass__", "__del__",
    "__slots__", "__dict__", "__set_name__", "__class_getitem__", "__prepare__",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice's text; when everything is reachable that is the whole source, and `everything` says why."""

    text: str
    everything: str = ""


@dataclass(eq=False, slots=True)
class Unit:
    """Lines that are kept or left out together: a statement of the module, a class's head, a member, an initialiser."""

    first: int
    last: int
    nodes: Sequence[ast.AST] = ()
    binds: frozenset[str] = frozenset()
    always: bool = False
    parent: Unit | None = None
    receiver: str | None = None
    """What the method calls its instance."""
    class_scope: Sequence[ast.AST] = ()
    """What is evaluated where the class's own names are visible."""
    escapes: bool = False
    """The instance may be handed on by something that the nodes do not show."""
    above: int = 0
    """The first of the blank lines and comments that belong to it."""


@dataclass(eq=False, slots=True)
class _Class:
    node: ast.ClassDef
    head: Unit
    header_last: int
    members: list[list[Unit]] = field(default_factory=list)


class Source:
    """A parsed source and its environment class, ready to be sliced for any tool."""

    def __init__(self, code: str, class_name: str) -> None:
        """Raises Unsliceable when the code cannot be parsed or the class is not one statement of the module."""
        body = parse(code)
        self.code, self.class_name = code, class_name
        # as Python's parser counts lines
        self._lines: list[str] = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", code)
        self.family = _family(body, class_name)
        self.everything = next(filter(None, (_opaque(node, self.family) for node in self.family.values())), "")
        self._constructors = sum(
            ("dataclass" in decorators(node)) + any(defines(item, "__init__") for item in node.body)
            for node in self.family.values()
        )
        self.units: list[Unit] = []
        self._classes: dict[str, _Class] = {}
        members = sum(len(node.body) for node in self.family.values())
        if len(body) + members > MAX_STATEMENTS:
            raise Unsliceable(f"the code has more than {MAX_STATEMENTS} statements")
        floor = 0
        for position, node in enumerate(body):
            if isinstance(node, ast.ClassDef) and node.name in self.family:
                self._add_class(node, floor)
            else:
                self.units.append(self._placed(_module_unit(node, position == 0), node, floor))
            floor = max(floor, node.end_lineno or 0)
        for found in self._classes.values():
            self.units += [found.head, *(unit for units in found.members for unit in units)]
        self._facts: dict[Unit, tuple[Facts, Facts]] = {}

    def slice(self, tool: str) -> Slice:
        """What a call of `tool` can reach; slicing the slice gives the same slice.

        Raises Unsliceable when the class has no such tool.
        """
        self._defining(tool)
        reach = _Reach(self, tool)
        why = self.everything or reach.run()
        if why:
            return Slice(self.code, why)
        text = self._text(reach.kept)
        parse(text)  # two statements may share a line in ways that only the parser understands
        return Slice(text)

    def tool_alone(self, tool: str) -> str:
        """The method alone, below the first line of the class that defines it.

        Raises Unsliceable when the class has no such tool.
        """
        found = self._defining(tool)
        lines = set(range(found.head.first, found.header_last + 1))
        for units in found.members:
            for unit in units:
                if tool in unit.binds and unit.parent is found.head:
                    lines |= set(range(unit.first, unit.last + 1))
        text = "".join(self._lines[number - 1] for number in sorted(lines))
        parse(text)
        return text

    def facts(self, unit: Unit) -> tuple[Facts, Facts]:
        """The facts of a unit: of what is evaluated in the class's scope, and of the rest."""
        if unit not in self._facts:
            self._facts[unit] = (
                scan(unit.class_scope, None, self.family),
                scan(unit.nodes, unit.receiver, self.family),
            )
        return self._facts[unit]

    def empty_classes(self, kept: set[Unit]) -> Iterable[Unit]:
        """The first member of each class that would be left without a body."""
        for found in self._classes.values():
            if ast.get_docstring(found.node, clean=False) is None and not any(
                unit in kept for units in found.members for unit in units
            ):
                yield from found.members[0] if found.members else ()

    def _defining(self, tool: str) -> _Class:
        if tool.startswith("_"):
            raise Unsliceable(f"{tool!r} is no tool: its name starts with an underscore")
        for found in (self._classes[name] for name in self.family):
            if any(tool in unit.binds and unit.parent is found.head for units in found.members for unit in units):
                return found
        raise Unsliceable(f"class {self.class_name} has no member {tool!r}")

    def _add_class(self, node: ast.ClassDef, floor: int) -> None:
        docstring = ast.get_docstring(node, clean=False) is not None
        header_last = self._header_last(node)
        last = (node.body[0].end_lineno or 0) if docstring else header_last
        # a base of the family is always kept, and naming it there hands nothing on
        bases = [base for base in node.bases if base_name(base) not in self.family]
        head = Unit(first_line(node), last, [*node.decorator_list, *bases], always=True)
        found = _Class(node, self._placed(head, node, floor), header_last)
        self._classes[node.name] = found
        floor = last
        dataclass_fields = "dataclass" in decorators(node)
        for item in node.body[1 if docstring else 0 :]:
            if isinstance(item, ast.FunctionDef) and item.name == "__init__" and _splits(item):
                units = self._initialisers(item, head, floor)
            else:
                unit = _member_unit(item, head, dataclass_fields)
                units = [self._placed(unit, item, floor)]
            found.members.append(units)
            floor = max(floor, item.end_lineno or 0)

    def _initialisers(self, node: ast.FunctionDef, head: Unit, floor: int) -> list[Unit]:
        """A constructor as one unit for its head and one for each statement."""
        receiver = (node.args.posonlyargs + node.args.args)[0].arg
        docstring = ast.get_docstring(node, clean=False) is not None
        last = (node.body[0].end_lineno or 0) if docstring else self._header_last(node)
        signature = Unit(node.lineno, last, parent=head, binds=frozenset({"__init__"}), class_scope=signature_of(node))
        signature.always = self._constructors > 1  # left out, another class's constructor would run in its place
        units = [self._placed(signature, node, floor)]
        for position, item in enumerate(node.body[1 if docstring else 0 :]):
            unit = Unit(first_line(item), item.end_lineno or 0, [item], parent=signature, receiver=receiver)
            member = initialised(item, receiver, self.family)
            unit.always = not member or (signature.always and not docstring and position == 0)
            unit.binds = member | {"__init__"}  # called by name, a constructor does all that it does
            units.append(self._placed(unit, item, last))
            last = max(last, unit.last)
        units[-1].last = max(units[-1].last, self._tail(node))
        return units

    def _header_last(self, node: ast.ClassDef | ast.FunctionDef) -> int:
        """The last line of `class X(...):` or `def f(...):`, without the comments below it."""
        line = max(first_line(node.body[0]) - 1, node.lineno)
        while line > node.lineno and self._is_idle(line):
            line -= 1
        return line

    def _placed(self, unit: Unit, node: ast.AST, floor: int) -> Unit:
        """Give a unit the comments right above it, one run of blank lines, and what a block's end belongs to."""
        indent = self._indent(unit.first)
        line = unit.first
        while line - 1 > floor and self._is_comment(line - 1) and self._indent(line - 1) == indent:
            line -= 1
        for _ in range(MAX_BLANK):
            if line - 1 > floor and not self._lines[line - 2].strip():
                line -= 1
        unit.above = line
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and unit.last == node.end_lineno:
            unit.last = self._tail(node)
        return unit

    def _tail(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
        """The last line of a block with the comments that are indented as its own."""
        last = line = node.end_lineno or 0
        indent = self._indent(node.lineno)
        while line < len(self._lines) and self._is_idle(line + 1):
            line += 1
            if self._is_comment(line):
                if not (self._indent(line).startswith(indent) and len(self._indent(line)) > len(indent)):
                    break
                last = line
        return last

    def _is_comment(self, line: int) -> bool:
        return self._lines[line - 1].lstrip().startswith("#")

    def _is_idle(self, line: int) -> bool:
        return not self._lines[line - 1].strip() or self._is_comment(line)

    def _indent(self, line: int) -> str:
        text = self._lines[line - 1]
        return text[: len(text) - len(text.lstrip())]

    def _text(self, kept: set[Unit]) -> str:
        numbers: set[int] = set()
        for unit in kept:
            numbers.update(range(unit.above or unit.first, unit.last + 1))
        lines = [self._lines[number - 1] for number in sorted(numbers)]
        start = next((i for i, line in enumerate(lines) if line.strip()), 0)
        return "".join(lines[start:])


class _Reach:
    """The units that one tool reaches, each scanned once."""

    def __init__(self, source: Source, tool: str) -> None:
        self.source = source
        self.kept: set[Unit] = set()
        self.why = ""
        self.escaped = False
        self.late = ""
        self.names: set[str] = set()
        self.members: set[str] = {tool}
        self.attributes: set[str] = set()
        self.waiting: list[Unit] = []
        self.by_name: dict[str, list[Unit]] = defaultdict(list)
        self.by_member: dict[str, list[Unit]] = defaultdict(list)
        self.by_line: dict[int, list[Unit]] = defaultdict(list)
        for unit in source.units:
            index = self.by_name if unit.parent is None else self.by_member
            for name in unit.binds:
                index[name].append(unit)
            for line in {unit.first, unit.last}:
                self.by_line[line].append(unit)

    def run(self) -> str:
        """Fill `kept`; returns why everything has to be kept, or the empty text."""
        self._keep(unit for unit in self.source.units if unit.always)
        self._names(self.source.family)
        for member in self.members:
            self._keep(self.by_member[member])
        while self.waiting and not self.why:
            unit = self.waiting.pop()
            in_class, elsewhere = self.source.facts(unit)
            self._members(in_class.names)  # the class's own names are visible there
            self._follow(in_class)
            self._follow(elsewhere)
            if unit.escapes:
                self._escape()
            if not self.waiting:
                self._keep(list(self.source.empty_classes(self.kept)))
        return self.why or (self.late if self.escaped else "")

    def _follow(self, facts: Facts) -> None:
        self.why = self.why or facts.dynamic
        self.late = self.late or facts.dynamic_if_escaped
        self._names(facts.names)
        self._members(facts.members)
        self.attributes |= facts.attributes
        if facts.escapes:
            self._escape()
        if self.escaped:
            self._members(facts.attributes)

    def _escape(self) -> None:
        """From here on any attribute of anything may be a member, and operators may call special methods."""
        if not self.escaped:
            self.escaped = True
            special = {name for name in self.by_member if name.startswith("__") and name.endswith("__")}
            self._members(self.attributes | (special - {"__init__"}))

    def _names(self, names: Iterable[str]) -> None:
        for name in set(names) - self.names:
            self.names.add(name)
            self._keep(self.by_name.get(name, ()))

    def _members(self, names: Iterable[str]) -> None:
        for name in set(names) - self.members:
            self.members.add(name)
            self._keep(self.by_member.get(name, ()))

    def _keep(self, units: Iterable[Unit]) -> None:
        found = list(units)
        while found:
            unit = found.pop()
            if unit not in self.kept:
                self.kept.add(unit)
                self.waiting.append(unit)
                for line in (unit.first, unit.last):  # statements may share a line
                    found += self.by_line.pop(line, ())
                if unit.parent is not None:
                    found.append(unit.parent)


def _family(body: Sequence[ast.stmt], class_name: str) -> dict[str, ast.ClassDef]:
    """The environment's class and, after it, those of its bases that are statements of the same module."""
    classes: dict[str, list[ast.ClassDef]] = defaultdict(list)
    for node in body:
        if isinstance(node, ast.ClassDef):
            classes[node.name].append(node)
    if class_name not in classes:
        raise Unsliceable(f"the code has no class {class_name!r}")
    family: dict[str, ast.ClassDef] = {}
    waiting = [class_name]
    while waiting:
        name = waiting.pop(0)
        if name in family or name not in classes:
            continue
        if len(classes[name]) > 1:
            raise Unsliceable(f"the code has two classes {name!r}")
        family[name] = classes[name][0]
        waiting += [base_name(base) for base in family[name].bases]
    return family


def _opaque(node: ast.ClassDef, family: Iterable[str]) -> str:
    """Why the members of a class cannot be told apart, or the empty text."""
    if not known_decorators(node):
        return f"class {node.name} has a decorator that may change it"
    if node.keywords:
        return f"class {node.name} has a metaclass or class arguments"
    for base in node.bases:
        if base_name(base) not in PLAIN_BASES and base_name(base) not in family:
            return f"class {node.name} has a base from elsewhere"
    for item in node.body:
        for name in sorted(SPECIAL):
            if defines(item, name):
                return f"class {node.name} defines {name}"
    return ""


def _splits(node: ast.FunctionDef) -> bool:
    return bool(node.args.args or node.args.posonlyargs) and not node.decorator_list


def _module_unit(node: ast.stmt, at_start: bool) -> Unit:
    """A statement of the module; it can be left out if all that it does is to bind names."""
    unit = Unit(first_line(node), node.end_lineno or 0, [node])
    match node:
        case ast.Expr(value=ast.Constant()):
            unit.always = at_start  # the docstring
        case ast.ImportFrom(module="__future__"):
            unit.always = True
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            unit.binds = frozenset(alias.asname or alias.name.split(".")[0] for alias in aliases)
            unit.always = "*" in unit.binds
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            unit.binds = frozenset({name})
            unit.always = not known_decorators(node)
            unit.always |= isinstance(node, ast.ClassDef) and bool(node.keywords)
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()]), orelse=[]):
            pass  # an environment is never run as a script
        case _:
            unit.binds, plain = assigned(node)
            unit.always = not plain
    return unit


def _member_unit(item: ast.stmt, head: Unit, dataclass_fields: bool) -> Unit:
    """A statement of a class's body."""
    unit = Unit(first_line(item), item.end_lineno or 0, parent=head, class_scope=[item])
    match item:
        case ast.Expr(value=ast.Constant()) | ast.Pass():
            pass
        case ast.FunctionDef(name=name, args=arguments) | ast.AsyncFunctionDef(name=name, args=arguments):
            named = list(decorators(item))
            positional = arguments.posonlyargs + arguments.args
            unit.binds = frozenset({name})
            everyone = [*positional, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
            unit.nodes, unit.class_scope = [*item.body, *filter(None, everyone)], signature_of(item)
            unit.always = name in ("__init__", "__post_init__") or not known_decorators(item)
            if "staticmethod" not in named:
                unit.receiver = positional[0].arg if positional else None
                unit.escapes = not positional or not known_decorators(item)  # the instance may be in *args
        case ast.ClassDef(name=name):
            unit.binds = frozenset({name})
        case _:
            unit.binds, plain = assigned(item)
            # a function that is a class's attribute is a method, whatever it calls its instance
            value = getattr(item, "value", None)
            unit.escapes = value is not None and any(isinstance(n, ast.Name | ast.Lambda) for n in ast.walk(value))
            unit.always = not plain or (dataclass_fields and isinstance(item, ast.AnnAssign))
    return unit
