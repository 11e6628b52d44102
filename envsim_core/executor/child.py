"""Child: what happens in the forked process of one call: build the instance, call the tool, export what came of it.

Standard library only. Everything from `main` on shares the process with untrusted code, so nothing here protects
anything: it is the honest path. A state is exported faithfully or refused; it is never replaced by a `repr`.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from envsim_core.executor import freeze
else:
    import freeze

FILE_NAME = "<environment>"
MARK = b"\xffenv"  # an answer starts with it, garbage does not
NOTHING = object()
SCALARS = (str, int, float, bool, type(None))
MAX_DEPTH = 500  # of a state; the scorer reads 1000, and whoever walks a state needs some stack of their own


class Refused(Exception):
    """A value that JSON cannot carry faithfully."""


def main(setup: dict[str, Any], receive: int, send: int, confine: Callable[[], None]) -> NoReturn:
    """Limit yourself, run the module, wait for the request, work, report, and run nobody's exit handlers."""
    try:
        confine()
        module, reply = guarded(setup, lambda: load(setup))
        line = read_frame(receive)
        if reply is None:
            _, reply = guarded(setup, lambda: work(setup, module, line))
        try:
            data = json.dumps(reply).encode()
        except MemoryError:
            data = json.dumps(out_of_memory(setup)).encode()
        except (TypeError, ValueError, RecursionError) as error:
            data = json.dumps(failed("unserialisable", f"not writable as JSON: {error}")).encode()
        write_frame(send, data, MARK)
    finally:
        os._exit(0)


def guarded(setup: dict[str, Any], step: Callable[[], Any]) -> tuple[Any, Any]:
    """(what `step` returned, the reply of a failure). A reply stands in both places when `step` returns one."""
    try:
        result = step()
        return result, result if isinstance(result, dict) else None
    except MemoryError:
        return None, out_of_memory(setup)
    except RecursionError:
        return None, failed("raised", "RecursionError")
    except BaseException as error:  # environment code may raise anything, SystemExit included
        return None, failed("raised", describe(error))


def out_of_memory(setup: dict[str, Any]) -> dict[str, Any]:
    """The reply of a call that wanted too much."""
    return failed("memory", f"more than {setup['memory_bytes'] >> 20} MiB of memory")


def load(setup: dict[str, Any]) -> Any:
    """Run the environment's module, before it is known what it will be asked; hence with draws of its own."""
    freeze.enter(setup["now"], lambda: freeze.entropy_of(setup["seed"], {}, "import", {}), setup["draws"])
    module = type(sys)("environment")  # dataclasses and typing look a class's module up by its name
    sys.modules["environment"] = module
    exec(setup["compiled"] or compile(setup["code"], FILE_NAME, "exec", dont_inherit=True), module.__dict__)
    return module


def work(setup: dict[str, Any], module: Any, line: bytes) -> dict[str, Any]:
    """Build the instance, call what was asked for, and export the state."""

    def entropy() -> bytes:  # read anew: the call may have changed its state and arguments before it draws
        told = json.loads(line)
        return freeze.entropy_of(setup["seed"], told["state"], told["name"], told["arguments"])

    request = json.loads(line)
    operation, state, name, arguments = request["op"], request["state"], request["name"], request["arguments"]
    freeze.enter(setup["now"], entropy, setup["draws"])
    if operation == "scenario":
        found = module.__dict__["scenario"](random.Random(arguments["seed"]), arguments["size"])
        return finished("", found, set())
    if setup["class_name"] not in module.__dict__:
        return failed("raised", f"the code defines no class {setup['class_name']!r}")
    instance, hidden = build(module.__dict__[setup["class_name"]], state)
    if operation == "reset":
        return finished("", vars(instance), set())
    before = {key: (vars(instance)[key], comparable(vars(instance)[key])) for key in hidden}
    tool = None if name.startswith("_") else getattr(instance, name, None)
    if not callable(tool):
        return failed("raised", f"no tool {name!r}")
    returned = tool(**arguments)
    try:
        check_observation(returned, "the returned value", 0)
    except Refused as refused:
        return failed("unserialisable", str(refused))
    observation = stable_text(returned)
    # What the constructor sets and the given state does not name stays outside the state, unless the call changed it.
    after = vars(instance)
    outside = {
        key
        for key, (value, text) in before.items()
        if key in after and after[key] is value and comparable(value) == text
    }
    return finished(observation, after, outside)


def build(cls: Any, state: dict[str, Any]) -> tuple[Any, set[str]]:
    """An instance with every key of the state set, and the attributes that only its constructor knows."""
    try:
        instance = cls()
    except TypeError:
        instance = cls({})  # the other constructor that environments of this style have
    names = set(vars(instance)) - set(state)
    vars(instance).update(state)
    return instance, names


def comparable(value: Any) -> Any:
    """The JSON text of a value, to see whether a call changed it; NOTHING where there is no such text."""
    try:
        check_state(value, "", 0)
        return json.dumps(value)
    except (Refused, TypeError, ValueError, RecursionError):
        return NOTHING


def finished(observation: str, state: Any, outside: set[str]) -> dict[str, Any]:
    """The reply of a call that returned, or the reason why its state cannot be told faithfully."""
    try:
        exported = {key: value for key, value in state.items() if key not in outside}
        check_state(exported, "state", 0)
    except RecursionError:
        return failed("unserialisable", "the state is nested too deeply or contains itself")
    except (Refused, AttributeError) as refused:
        return failed("unserialisable", str(refused))
    return {"status": "ok", "reason": "", "observation": observation, "state": exported}


def failed(status: str, reason: str) -> dict[str, Any]:
    """The reply of a call without a result."""
    return {"status": status, "reason": reason, "observation": None, "state": None}


def check_state(value: Any, where: str, depth: int) -> None:
    """Refuse what JSON would change: tuples, sets, other key types, subclasses and objects."""
    kind = type(value)
    if depth > MAX_DEPTH:
        raise Refused(f"the state is nested too deeply (more than {MAX_DEPTH} levels) or contains itself")
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise Refused(f"{where} has a key of type {type(key).__name__}; JSON keys are text")
            if type(item) not in SCALARS:
                check_state(item, f"{where}.{key}", depth + 1)
    elif kind is list:
        for position, item in enumerate(value):
            if type(item) not in SCALARS:
                check_state(item, f"{where}[{position}]", depth + 1)
    elif kind not in SCALARS:
        raise Refused(f"{where} is of type {kind.__name__}, which JSON cannot carry")


def check_observation(value: Any, where: str, depth: int) -> None:
    """Refuse objects, whose text would name a memory address; plain containers of any kind are fine."""
    kind = type(value)
    if depth > MAX_DEPTH:
        raise Refused(f"the returned value is nested too deeply (more than {MAX_DEPTH} levels) or contains itself")
    if kind is dict:
        for key, item in value.items():
            check_observation(key, f"a key of {where}", depth + 1)
            check_observation(item, f"{where}[{key!r}]", depth + 1)
    elif kind in (list, tuple, set, frozenset):
        for item in value:
            check_observation(item, f"an element of {where}", depth + 1)
    elif kind not in SCALARS:
        raise Refused(f"{where} is of type {kind.__name__}, whose text is not the same on every run")


def stable_text(value: Any) -> str:
    """What str() gives for a checked value, but with the elements of sets in the order of their own texts.

    Hash order is not the same on every machine, even under one hash seed: None, for one, is hashed by its address.
    """
    return value if type(value) is str else _text(value)


def _text(value: Any) -> str:
    kind = type(value)
    if kind is dict:
        return "{" + ", ".join(f"{_text(key)}: {_text(item)}" for key, item in value.items()) + "}"
    if kind is list:
        return "[" + ", ".join([_text(item) for item in value]) + "]"
    if kind is tuple:
        return "(" + ", ".join([_text(item) for item in value]) + (",)" if len(value) == 1 else ")")
    if kind is set or kind is frozenset:
        text = "{" + ", ".join(sorted([_text(item) for item in value])) + "}"
        if kind is set:
            return text if value else "set()"
        return f"frozenset({text})" if value else "frozenset()"
    return repr(value)


def describe(error: BaseException) -> str:
    """`ValueError: text (line 12)`, whatever the exception's own methods do."""
    kind = type(error).__name__
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        text = f": {message[:300]}" if message else ""
    except BaseException:
        text = ""
    lines: list[int | None] = []
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == FILE_NAME:
            lines.append(step.tb_lineno)
        step = step.tb_next
    if isinstance(error, SyntaxError) and error.filename == FILE_NAME:
        lines.append(error.lineno)
    return f"{kind}{text}" + (f" (line {lines[-1]} of the code)" if lines else "")


def read_frame(descriptor: int) -> bytes:
    """Four bytes of length and so many more. EOFError where they do not come."""
    data = bytearray()
    size = 4
    while len(data) < size:
        piece = os.read(descriptor, max(1 << 16, size - len(data)))
        if not piece:
            raise EOFError
        data += piece
        if len(data) >= 4:
            size = 4 + int.from_bytes(data[:4], "little")
    return bytes(data[4:])


def write_frame(descriptor: int, data: bytes, mark: bytes = b"") -> None:
    """A mark, the length in four bytes, and the data. What is too long to say so is too long to be taken anyway."""
    view = memoryview(mark + min(len(data), 0xFFFFFFFF).to_bytes(4, "little") + data)
    while view:
        view = view[os.write(descriptor, view) :]
