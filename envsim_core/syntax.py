"""Syntax: which names and members a piece of a syntax tree may use, without running it and without recursion."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from envsim_core.errors import EnvSimError

MAX_CODE = 256 * 1024  # characters: a syntax tree takes hundreds of times the memory of its source
# Builtins that reach what no name says.
DYNAMIC = {"vars", "dir", "globals", "locals", "eval", "exec", "compile", "__import__", "__builtins__"}
DYNAMIC_MODULES = {"importlib", "inspect", "gc", "ctypes", "builtins"}
DYNAMIC_ATTRIBUTES = {"_getframe", "f_globals", "f_locals", "f_back", "tb_frame"}
GETTERS = {"getattr", "hasattr", "setattr", "delattr"}
NAMED_GETTERS = {"attrgetter", "methodcaller"}  # of module operator
# Special names that lead to one thing and no further.
PLAIN_DUNDERS = {
    "__class__", "__name__", "__qualname__", "__doc__", "__module__", "__init__", "__post_init__", "__len__",
    "__getitem__", "__setitem__", "__delitem__", "__contains__", "__iter__", "__next__", "__eq__", "__lt__",
    "__hash__", "__str__", "__repr__", "__enter__", "__exit__", "__call__", "__members__",
}  # fmt: skip
# Decorators that call nothing but what they wrap, and keep no list of it.
KNOWN_DECORATORS = {
    "staticmethod", "classmethod", "property", "cached_property", "setter", "getter", "deleter", "abstractmethod",
    "lru_cache", "cache", "wraps", "override", "final", "overload", "contextmanager", "dataclass", "total_ordering",
    "unique", "runtime_checkable",
}  # fmt: skip
# Calls that only make a value: leaving them out changes nothing else.
PURE_CALLS = {
    "dict", "list", "set", "frozenset", "tuple", "int", "float", "str", "bool", "bytes", "len", "range", "sorted",
    "min", "max", "sum", "abs", "round", "zip", "enumerate", "reversed", "object", "defaultdict", "deque", "Counter",
    "OrderedDict", "namedtuple", "field", "Decimal", "Fraction", "date", "datetime", "time", "timedelta", "timezone",
    "compile", "getLogger", "TypeVar", "NewType", "Lock", "RLock", "deepcopy", "copy", "get", "keys", "values",
    "items", "lower", "upper", "strip", "split", "join", "fromisoformat", "isoformat",
}  # fmt: skip
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
MAX_QUOTED = 1000  # characters of a quoted annotation


class Unsliceable(EnvSimError):
    """Source that no slice can be made of; the message says why."""


@dataclass(slots=True)
class Facts:
    """What a piece of code may use."""

    names: set[str] = field(default_factory=set)
    """Names that it reads or binds, those of its annotations included."""
    members: set[str] = field(default_factory=set)
    """Attributes of the instance or its class."""
    attributes: set[str] = field(default_factory=set)
    """Attributes of anything else, which are members too once the instance has been handed on."""
    escapes: bool = False
    """The instance or its class is handed on, so that another name may mean it."""
    dynamic: str = ""
    """What reaches members without naming them."""
    dynamic_if_escaped: str = ""
    """What does so only if the instance was handed on."""


def parse(code: str) -> list[ast.stmt]:
    """The statements of a module. Raises Unsliceable for what Python does not read, or is too large to be read here."""
    if len(code) > MAX_CODE:
        raise Unsliceable(f"the code has more than {MAX_CODE // 1024} Ki characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other people's invalid escapes
            return ast.parse(code).body
    except SyntaxError as error:
        raise Unsliceable(f"the code is not Python: {error.msg} (line {error.lineno})") from None
    except (RecursionError, MemoryError):
        raise Unsliceable("the code is nested too deeply") from None
    except ValueError as error:  # null bytes, lone surrogates, integers beyond Python's limit of digits
        raise Unsliceable(f"the code is not Python: {type(error).__name__}") from None


def scan(nodes: Iterable[ast.AST], receiver: str | None, family: Iterable[str]) -> Facts:
    """The facts of `nodes`, in which `receiver` is the instance (or class) and `family` names the classes."""
    scanner = _Scanner(receiver, frozenset(family))
    scanner.read(nodes)
    return scanner.facts


class _Scanner:
    """An explicit stack instead of ast.NodeVisitor: nesting is bounded by memory, not by Python's own stack."""

    def __init__(self, receiver: str | None, family: frozenset[str]) -> None:
        self.receiver, self.family = receiver, family
        self.facts = Facts()
        self.stack: list[tuple[ast.AST, bool]] = []
        self.bound: set[str] = set()
        self.suspects: set[str] = set()

    def read(self, nodes: Iterable[ast.AST]) -> None:
        self.stack = [(node, False) for node in nodes]
        while self.stack:
            node, annotation = self.stack.pop()
            self._visit(node, annotation)
        # a parameter or variable called `dir` or `vars` is no builtin
        for name in sorted(self.suspects - self.bound):
            self.facts.dynamic = self.facts.dynamic or f"uses {name}"

    def _push(self, nodes: Iterable[ast.AST | None], annotation: bool = False) -> None:
        self.stack.extend((node, annotation) for node in nodes if node is not None)

    def _visit(self, node: ast.AST, annotation: bool) -> None:
        facts = self.facts
        match node:
            case ast.Attribute(value=value, attr=attr):
                self._attribute(value, plain_name(attr), annotation)
            case ast.Name(id=name):
                self._name(node, name, annotation)
            case ast.Call(func=ast.Name(id=name)) if name in GETTERS:
                self._getter(node, name)
            case ast.Call(func=ast.Name(id="super")):
                facts.escapes = True  # what super().name names was read with the attribute
            case ast.Call(func=function) if _last(function) in NAMED_GETTERS:
                self._push([function, *node.args, *(keyword.value for keyword in node.keywords)])
                for argument in node.args[: 1 if _last(function) == "methodcaller" else None]:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        facts.attributes.update(plain_name(part) for part in argument.value.split("."))
                    else:
                        facts.dynamic_if_escaped = f"uses {_last(function)} with a computed name"
            case ast.Constant(value=str(text)) if annotation:
                facts.names |= _quoted(text)
            case ast.Subscript(value=value) if annotation and _last(value) == "Literal":
                self._push([value], annotation)  # its texts are values, not quoted annotations
            case ast.AnnAssign(target=target, annotation=kind, value=value):
                self._push([kind], True)
                self._push([target, value])
            case ast.arg(arg=name, annotation=kind):
                self.bound.add(name)
                self._push([kind], True)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._push([node.returns], True)
                self._push([node.args, *node.decorator_list, *node.body, *getattr(node, "type_params", [])])
                self.bound.add(node.name)
                if not known_decorators(node):
                    facts.escapes = True
            case ast.Global(names=names):
                facts.names.update(names)
            case ast.MatchClass(kwd_attrs=attributes):
                facts.attributes.update(attributes)
                self._push(ast.iter_child_nodes(node))
            case ast.Import(names=aliases):
                self._imports(alias.name for alias in aliases)
            case ast.ImportFrom(module=module):
                self._imports([module or ""])
            case _:
                self._push(ast.iter_child_nodes(node), annotation)

    def _attribute(self, value: ast.expr, attr: str, annotation: bool) -> None:
        facts = self.facts
        if _reveals(attr) or (attr == "modules" and _last(value) == "sys"):
            facts.dynamic = facts.dynamic or f"uses {attr}"
        if attr == "__class__" and self._is_receiver(value):
            facts.escapes = True
        elif self._is_instance(value):
            facts.members.add(attr)
        else:
            facts.attributes.add(attr)
            self._push([value], annotation)

    def _is_receiver(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self.receiver

    def _is_instance(self, node: ast.AST) -> bool:
        """Whether an attribute of this expression is a member: self, Class, type(self), self.__class__, super()."""
        match node:
            case ast.Name(id=name):
                return name == self.receiver or name in self.family
            case ast.Call(func=ast.Name(id="super")):
                return True
            case ast.Call(func=ast.Name(id="type"), args=[argument]):
                return self._is_receiver(argument)
            case ast.Attribute(value=value, attr="__class__"):
                return self._is_receiver(value)
        return False

    def _name(self, node: ast.Name, name: str, annotation: bool) -> None:
        self.facts.names.add(name)
        if isinstance(node.ctx, ast.Store):
            self.bound.add(name)
        if annotation:
            return
        if name == self.receiver or name in self.family:
            self.facts.escapes = True
        elif name in DYNAMIC:
            self.suspects.add(name)
        elif name in GETTERS or name == "super":  # called otherwise than by its name
            self.facts.dynamic = self.facts.dynamic or f"uses {name} as a value"

    def _getter(self, node: ast.Call, name: str) -> None:
        subject = node.args[0] if node.args else None
        key = node.args[1] if len(node.args) > 1 else None
        instance = subject is not None and self._is_instance(subject)
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            (self.facts.members if instance else self.facts.attributes).add(plain_name(key.value))
            if _reveals(key.value):
                self.facts.dynamic = self.facts.dynamic or f"uses {key.value}"
        elif instance or key is None:
            self.facts.dynamic = self.facts.dynamic or f"uses {name} with a computed name"
        else:
            self.facts.dynamic_if_escaped = f"uses {name} with a computed name"
        self._push([] if instance else [subject])
        self._push([*node.args[1:], *(keyword.value for keyword in node.keywords)])

    def _imports(self, modules: Iterable[str]) -> None:
        for module in modules:
            if module.split(".")[0] in DYNAMIC_MODULES:
                self.facts.dynamic = self.facts.dynamic or f"imports {module}"


def pure(node: ast.expr | None) -> bool:
    """Whether evaluating an expression only makes a value, as far as its calls are known by name."""
    if node is None:
        return True
    for inner in ast.walk(node):
        if isinstance(inner, ast.NamedExpr | ast.Yield | ast.YieldFrom | ast.Await):
            return False
        if isinstance(inner, ast.Call) and _last(inner.func) not in PURE_CALLS:
            return False
    return True


def decorators(node: ast.AST) -> Iterator[str]:
    """The last name of each decorator of a function or class; empty for one that has none."""
    for decorator in getattr(node, "decorator_list", []):
        yield _last(decorator.func if isinstance(decorator, ast.Call) else decorator)


def known_decorators(node: ast.AST) -> bool:
    """Whether every decorator is one that keeps no list of what it decorates."""
    return all(name in KNOWN_DECORATORS for name in decorators(node))


def root_of(node: ast.AST) -> ast.AST:
    """`x` of `x.a["k"].b`."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return node


def member_of(node: ast.AST, receiver: str) -> str | None:
    """`a` of `self.a["k"].b`, when `receiver` is `self`."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return plain_name(node.attr) if node.value.id == receiver else None
        node = node.value
    return None


def root_names(targets: Iterable[ast.AST]) -> set[str] | None:
    """The names that assignment targets bind or change; None when one of them hangs on no name."""
    names: set[str] = set()
    for target in targets:
        if isinstance(target, ast.Tuple | ast.List):
            inner = root_names(target.elts)
            if inner is None:
                return None
            names |= inner
            continue
        root = root_of(target)
        if not isinstance(root, ast.Name):
            return None
        names.add(root.id)
    return names


def signature_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.AST]:
    """What of a method is evaluated when its class is made, annotations included."""
    returns = [ast.AnnAssign(ast.Name("return", ast.Store()), node.returns, None, 1)] if node.returns else []
    return [*node.decorator_list, node.args, *returns]


def assigned(node: ast.stmt) -> tuple[frozenset[str], bool]:
    """The names that a statement binds or changes, and whether that is all that it does."""
    value: ast.expr | None = None
    match node:
        case ast.Assign(targets=targets, value=value):
            names = root_names(targets)
        case ast.Delete(targets=targets):
            names = root_names(targets)
        case ast.AnnAssign(target=target, value=value) | ast.AugAssign(target=target, value=value):
            names = root_names([target])
        case _:
            return frozenset(), False
    return frozenset(names or ()), names is not None and pure(value)


def initialised(node: ast.stmt, receiver: str, family: Iterable[str]) -> frozenset[str]:
    """The attributes that a constructor's statement sets; empty when it may do anything else."""
    match node:
        case ast.Assign(targets=targets, value=value):
            found = targets
        case ast.AnnAssign(target=target, value=value) | ast.AugAssign(target=target, value=value):
            found = [target]
        case ast.Expr(value=ast.Constant()):
            return frozenset({"__init__"})
        case _:
            return frozenset()
    members = [member_of(target, receiver) for target in found]
    if None in members or not pure(value) or scan([node], receiver, family).escapes:
        return frozenset()
    return frozenset(member for member in members if member is not None)


def defines(item: ast.stmt, name: str) -> bool:
    if isinstance(item, (*FUNCTIONS, ast.ClassDef)):
        return item.name == name
    return name in assigned(item)[0]


def first_line(node: ast.AST) -> int:
    """The line on which a statement begins, its decorators included."""
    return int(min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))]))  # type: ignore[attr-defined]


def base_name(node: ast.expr) -> str:
    """`Generic` of `typing.Generic[T]`."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def plain_name(name: str) -> str:
    """A private name as it is written inside its class: `_Bank__secret` is `__secret`."""
    head, mark, tail = name.partition("__")
    return "__" + tail if mark and tail and head.startswith("_") and not _is_dunder(name) else name


def _is_dunder(name: str) -> bool:
    return len(name) > 4 and name.startswith("__") and name.endswith("__")


def _reveals(name: str) -> bool:
    return name in DYNAMIC_ATTRIBUTES or (_is_dunder(name) and name not in PLAIN_DUNDERS)


def _last(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _quoted(text: str) -> set[str]:
    """The names in a quoted annotation."""
    if len(text) > MAX_QUOTED:
        return set()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
