"""Worker: the process that executes untrusted environment code, one fork per call. Standard library only.

Started as a script by Executor. It reads one line of set-up, then one JSON request per line on standard input, and
answers each with a header line {"status", "reason", "size"} and `size` bytes that the forked child wrote. The server
never runs environment code itself: it forks, watches the clock, kills, and reports.
"""

from __future__ import annotations

# Imported here once, so that a forked child finds what environments commonly import already loaded.
import collections
import copy
import dataclasses
import datetime
import decimal
import enum
import functools
import itertools
import json
import math
import os
import random
import re
import resource
import select
import signal
import string
import sys
import time
import traceback
import typing

PRELOADED = (collections, dataclasses, datetime, decimal, enum, functools, itertools, math, re, string, typing)
FILE_NAME = "<environment>"
NOTHING = object()
SCALARS = (str, int, float, bool, type(None))


class Refused(Exception):
    """A value that JSON cannot carry faithfully."""


def serve() -> None:
    """Answer requests until the input ends."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    setup = json.loads(requests.readline())
    try:
        # once, for all calls; what it means when it cannot be compiled is said by each call
        setup["compiled"] = compile(setup["code"], FILE_NAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        setup["compiled"] = None
    for line in requests:
        status, reason, body = call(setup, line, (requests.fileno(), replies))
        header = json.dumps({"status": status, "reason": reason, "size": len(body)}).encode() + b"\n"
        write_all(replies, header + body)


def call(setup: dict[str, typing.Any], line: bytes, private: tuple[int, int]) -> tuple[str, str, bytes]:
    """Fork, let the child work, and say how it ended."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        for descriptor in (receive, *private):
            os.close(descriptor)
        child_main(setup, line, send)
    os.close(send)
    try:
        os.setpgid(child, child)  # the child does the same; whoever comes first
    except OSError:
        pass
    body, late = collect(receive, time.monotonic() + setup["wall_s"], setup["result_bytes"])
    os.close(receive)
    kill_group(child)
    _, ending = os.waitpid(child, 0)
    if late:
        return "timeout", f"more than {setup['wall_s']:g} s of wall-clock time", b""
    if len(body) > setup["result_bytes"]:
        return "unserialisable", f"state and observation exceed {setup['result_bytes'] // 1024} KiB", b""
    if body.endswith(b"\n"):  # the child's last byte; what happened to it afterwards does not matter
        return "done", "", body
    if os.WIFSIGNALED(ending):
        number = os.WTERMSIG(ending)
        if number == signal.SIGXCPU:
            return "timeout", f"more than {setup['cpu_s']} s of CPU time", b""
        return "crashed", f"killed by {signal.Signals(number).name}", b""
    return "crashed", f"the process exited with status {os.WEXITSTATUS(ending)} in the middle of the call", b""


def collect(receive: int, deadline: float, limit: int) -> tuple[bytes, bool]:
    """What the child writes until it closes the pipe, sends its end mark, passes the limit or is late."""
    data = bytearray()
    while len(data) <= limit:
        ready = select.select([receive], [], [], max(0.0, deadline - time.monotonic()))[0]
        if not ready:
            return b"", True
        piece = os.read(receive, 1 << 16)
        if not piece:
            break
        data += piece
        if data.endswith(b"\n"):
            break
    return bytes(data), False


def kill_group(child: int) -> None:
    """End the child and everything that it started in its process group."""
    for kill in (os.killpg, os.kill):
        try:
            kill(child, signal.SIGKILL)
        except OSError:
            pass


def write_all(descriptor: int, data: bytes) -> None:
    """os.write until everything is written."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def child_main(setup: dict[str, typing.Any], line: bytes, send: int) -> typing.NoReturn:
    """In the forked child: limit yourself, work, report, and go without running anybody's exit handlers."""
    try:
        os.setpgid(0, 0)
    except OSError:
        pass
    os.environ.clear()
    try:
        limit(setup)
        reply = work(setup, json.loads(line))
    except MemoryError:
        reply = failed("memory", f"more than {setup['memory_bytes'] >> 20} MiB of memory")
    except RecursionError:
        reply = failed("raised", "RecursionError")
    except BaseException as error:  # environment code may raise anything, SystemExit included
        reply = failed("raised", describe(error))
    try:
        data = json.dumps(reply).encode() + b"\n"
    except MemoryError:
        data = json.dumps(failed("memory", f"more than {setup['memory_bytes'] >> 20} MiB of memory")).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        data = json.dumps(failed("unserialisable", f"not writable as JSON: {error}")).encode() + b"\n"
    try:
        write_all(send, data)
    finally:
        os._exit(0)


def limit(setup: dict[str, typing.Any]) -> None:
    """Limits that the kernel enforces on this process."""
    cpu = int(setup["cpu_s"])
    for what, soft, hard in (
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_AS, setup["memory_bytes"], setup["memory_bytes"]),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_NOFILE, 16, 16),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NPROC, 0, 0),  # no process, no thread (the kernel does not hold root to it)
    ):
        ceiling = resource.getrlimit(what)[1]
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        resource.setrlimit(what, (soft, hard))


def work(setup: dict[str, typing.Any], request: dict[str, typing.Any]) -> dict[str, typing.Any]:
    """Build the instance, call what was asked for, and export the state."""
    module = type(sys)("environment")  # dataclasses and typing look a class's module up by its name
    sys.modules["environment"] = module
    exec(setup["compiled"] or compile(setup["code"], FILE_NAME, "exec", dont_inherit=True), module.__dict__)
    if request["op"] == "scenario":
        state = module.__dict__["scenario"](random.Random(request["seed"]), request["size"])
        return finished("", state, set())
    if setup["class_name"] not in module.__dict__:
        return failed("raised", f"the code defines no class {setup['class_name']!r}")
    instance, hidden = build(module.__dict__[setup["class_name"]], request["state"])
    before = {name: (vars(instance)[name], comparable(vars(instance)[name])) for name in hidden}
    if request["op"] == "reset":
        return finished("", vars(instance), set())
    name = request["name"]
    tool = None if name.startswith("_") else getattr(instance, name, None)
    if not callable(tool):
        return failed("raised", f"no tool {name!r}")
    returned = tool(**request["arguments"])
    try:
        check_observation(returned, "the returned value")
    except Refused as refused:
        return failed("unserialisable", str(refused))
    # What the constructor sets and the given state does not name stays outside the state, unless the call changed it.
    state = vars(instance)
    outside = {
        key
        for key, (value, text) in before.items()
        if key in state and state[key] is value and comparable(value) == text
    }
    return finished(str(returned), state, outside)


def build(cls: typing.Any, state: dict[str, typing.Any]) -> tuple[typing.Any, set[str]]:
    """An instance with every key of the state set, and the attributes that only its constructor knows."""
    try:
        instance = cls()
    except TypeError:
        instance = cls({})  # the other constructor that environments of this style have
    names = set(vars(instance)) - set(state)
    for key, value in copy.deepcopy(state).items():
        vars(instance)[key] = value
    return instance, names


def comparable(value: typing.Any) -> typing.Any:
    """The JSON text of a value, to see whether a call changed it; NOTHING where there is no such text."""
    try:
        check_state(value, "")
        return json.dumps(value)
    except (Refused, TypeError, ValueError, RecursionError):
        return NOTHING


def finished(observation: str, state: typing.Any, outside: set[str]) -> dict[str, typing.Any]:
    """The reply of a call that returned, or the reason why its state cannot be told faithfully."""
    try:
        exported = {key: value for key, value in state.items() if key not in outside}
        check_state(exported, "state")
    except RecursionError:
        return failed("unserialisable", "the state is nested too deeply or contains itself")
    except (Refused, AttributeError) as refused:
        return failed("unserialisable", str(refused))
    return {"status": "ok", "reason": "", "observation": observation, "state": exported}


def failed(status: str, reason: str) -> dict[str, typing.Any]:
    """The reply of a call without a result."""
    return {"status": status, "reason": reason, "observation": None, "state": None}


def check_state(value: typing.Any, where: str) -> None:
    """Refuse what JSON would change: tuples, sets, other key types, subclasses and objects."""
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise Refused(f"{where} has a key of type {type(key).__name__}; JSON keys are text")
            check_state(item, f"{where}.{key}")
    elif kind is list:
        for position, item in enumerate(value):
            check_state(item, f"{where}[{position}]")
    elif kind not in SCALARS:
        raise Refused(f"{where} is of type {kind.__name__}, which JSON cannot carry")


def check_observation(value: typing.Any, where: str) -> None:
    """Refuse objects, whose text would name a memory address; plain containers of any kind are fine."""
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            check_observation(key, f"a key of {where}")
            check_observation(item, f"{where}[{key!r}]")
    elif kind in (list, tuple, set, frozenset):
        for item in value:
            check_observation(item, f"an element of {where}")
    elif kind not in SCALARS:
        raise Refused(f"{where} is of type {kind.__name__}, whose text is not the same on every run")


def describe(error: BaseException) -> str:
    """`ValueError: text (line 12)`, whatever the exception's own methods do."""
    kind = type(error).__name__
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        text = f": {message[:300]}" if message else ""
    except BaseException:
        text = ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE_NAME]
    if isinstance(error, SyntaxError) and error.filename == FILE_NAME:
        lines.append(error.lineno)
    return f"{kind}{text}" + (f" (line {lines[-1]} of the code)" if lines else "")


if __name__ == "__main__":
    serve()
