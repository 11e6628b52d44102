"""Executor: runs environment code, which is untrusted, in another process with hard limits.

A small server process (worker.py), hardened once (sandbox.py), forks for every call, so that a call starts from the
state that it is given and from nothing else: no module variable, class attribute or monkey patch of an earlier call
survives. Clock, ids and random numbers come from a `World` (freeze.py). What a call does to itself (raise, loop,
allocate, exit, print) becomes the status of its outcome, never an exception here.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, get_args

from envsim_core.config import Limits
from envsim_core.errors import EnvSimError
from envsim_core.executor.freeze import World
from envsim_core.executor.layers import announce, bubblewrap
from envsim_core.records import Action, JsonObject
from envsim_core.records import World as WorldRow

WORKER = Path(__file__).with_name("worker.py")
MARGIN_S = 10.0  # the worker enforces the wall clock; a worker that is this late itself is killed
START_S = 60.0  # until a worker has to be ready
PIPE_BYTES = 60 * 1024  # a request that fits into an empty pipe can be written before the answer to the last is read
MAX_DEPTH = 500  # as in child.py, which a forged answer does not pass

Status = Literal["ok", "raised", "timeout", "memory", "crashed", "unserialisable"]
STATUSES: frozenset[str] = frozenset(get_args(Status))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call did. `observation` and `state_after` are None unless `status` is "ok"; then `reason` is empty."""

    status: Status
    reason: str = ""
    observation: str | None = None
    state_after: JsonObject | None = None


class ExecutorError(EnvSimError):
    """The worker itself could not be started: nothing that environment code can cause."""


def world_of(row: WorldRow | None) -> World:
    """The frozen world that a row tells of; the default one where it tells of none."""
    return World() if row is None else World(row.seed, row.now, row.hash_seed)


class Executor:
    """One environment class in one world, ready to be called; a context manager that ends its worker process.

    `code` is the source of the class with its imports and constants, `class_name` the class in it. `without` switches
    layers of isolation off, to test that the others hold.
    """

    def __init__(
        self,
        code: str,
        class_name: str,
        limits: Limits | None = None,
        world: World | None = None,
        without: Iterable[str] = (),
    ) -> None:
        self._limits = limits or Limits()
        self.world = world or World()
        self._without = tuple(without)
        self._setup = {
            "code": code,
            "class_name": class_name,
            "wall_s": self._limits.wall_s,
            "cpu_s": self._limits.cpu_s,
            "memory_bytes": self._limits.memory_mb * 1024 * 1024,
            "result_bytes": self._limits.result_kb * 1024,
            "seed": self.world.seed,
            "now": self.world.nanoseconds,
            "draws": "random" in code,  # the module's functions; everything else is seeded when it is first used
            "without": self._without,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._layers: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def reset(self, init_config: Mapping[str, Any]) -> Outcome:
        """A fresh instance with every key of `init_config` set as an attribute; `state_after` is the first state."""
        return self._call(_line("reset", init_config, "__init__", {}))

    def run(self, state: Mapping[str, Any], action: Action) -> Outcome:
        """Call one tool in `state`. The outcome depends on the code, the world, the state and the action alone."""
        return self._call(_line("run", state, action.name, action.arguments))

    def run_many(self, calls: Iterable[tuple[Mapping[str, Any], Action]]) -> Iterator[Outcome]:
        """`run` for each call, in order; the next request is on its way while this side reads an answer."""
        waiting = False
        for state, action in calls:
            line = _line("run", state, action.name, action.arguments)
            if waiting and (isinstance(line, Outcome) or len(line) > PIPE_BYTES):
                yield self._receive()
                waiting = False
            if isinstance(line, Outcome):
                yield line
                continue
            sent = self._send(line)
            if waiting:
                yield self._receive()
            waiting = sent
            if not sent:
                yield _lost("OSError")
        if waiting:
            yield self._receive()

    def scenario(self, seed: str, size: int) -> Outcome:
        """Call the module's `scenario(rng, size)`, the generator seeded by `seed`; `state_after` is what it returns."""
        return self._call(_line("scenario", {}, "scenario", {"seed": seed, "size": size}))

    def layers(self) -> dict[str, str]:
        """Every layer of isolation: "" where it is active, else why it is missing. Starts the worker if need be."""
        if not self._layers:
            self._started()
        return dict(self._layers)

    def isolation(self) -> list[str]:
        """The active layers, in a fixed order."""
        return [name for name, missing in self.layers().items() if not missing]

    def close(self) -> None:
        """End the worker and whatever it still runs."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        try:
            process.wait(timeout=0.2)  # end of input ends the worker
        except subprocess.TimeoutExpired:
            _kill(process)

    def _call(self, line: bytes | Outcome) -> Outcome:
        if isinstance(line, Outcome):
            return line
        return self._receive() if self._send(line) else _lost("OSError")

    def _send(self, line: bytes) -> bool:
        process = self._started()
        assert process.stdin is not None  # opened as a pipe below
        try:
            _write(process.stdin, line, time.monotonic() + self._limits.wall_s + MARGIN_S)
        except (OSError, TimeoutError):
            self.close()
            return False
        return True

    def _receive(self) -> Outcome:
        process = self._process
        if process is None:
            return _lost("EOFError")
        assert process.stdout is not None
        try:
            deadline = time.monotonic() + self._limits.wall_s + MARGIN_S
            data = _read_frame(process.stdout, deadline, 1, self._limits.result_kb * 1024)
        except (OSError, EOFError, TimeoutError) as error:
            self.close()
            return _lost(type(error).__name__)
        if data[0]:
            status, reason = json.loads(data[5:])
            return Outcome(status, reason)
        return _outcome(data[5:])

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        wrapper, outside = bubblewrap(self._without)
        python = os.path.realpath(sys.executable)  # not a virtual environment's: its folder is nobody's to read
        # nothing of the caller's environment; hash order is the world's
        environment = {"PYTHONHASHSEED": str(self.world.hash_seed), "PYTHONUTF8": "1", "TZ": "UTC", "LC_ALL": "C"}
        try:
            self._process = process = subprocess.Popen(
                [*wrapper, python, "-s", "-S", "-P", "-B", "-W", "ignore", str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd="/",
                close_fds=True,
                start_new_session=True,
                bufsize=0,
            )
            assert process.stdin is not None and process.stdout is not None
            setup = json.dumps({**self._setup, "outside": outside}).encode()
            deadline = time.monotonic() + START_S
            _write(process.stdin, len(setup).to_bytes(4, "little") + setup, deadline)
            self._layers = json.loads(_read_frame(process.stdout, deadline, 0, 1 << 16)[4:])
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self.close()
            why = f"{type(error).__name__}: {error}".rstrip(": ")
            raise ExecutorError(f"cannot start the executor's worker ({python} {WORKER}): {why}") from error
        announce(self._layers)
        return process


def _line(operation: str, state: Mapping[str, Any], name: str, arguments: Mapping[str, Any]) -> bytes | Outcome:
    """The frame of a request, or the outcome of one that cannot be written."""
    request = {"op": operation, "state": dict(state), "name": name, "arguments": arguments}
    try:
        line = json.dumps(request).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return Outcome("unserialisable", f"the call cannot be written as JSON: {error}")
    return len(line).to_bytes(4, "little") + line


def _lost(why: str) -> Outcome:
    return Outcome("crashed", f"the worker process was lost ({why})")


def _outcome(body: bytes) -> Outcome:
    unreadable = Outcome("crashed", "ended without a readable result")
    try:
        result = json.loads(body)  # written by the environment's own process: trust nothing in it
        status, reason = result["status"], result["reason"]
        observation, state = result["observation"], result["state"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return unreadable
    if not isinstance(status, str) or status not in STATUSES or not isinstance(reason, str):
        return unreadable
    if status != "ok":
        return Outcome(status, reason[:1000] or "no reason given")  # type: ignore[arg-type]  # just looked up
    if not isinstance(state, dict) or not isinstance(observation, str | None):
        return unreadable
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _deeper(state, MAX_DEPTH):
        return Outcome("unserialisable", f"the state is nested too deeply (more than {MAX_DEPTH} levels)")
    return Outcome("ok", "", observation, state)


def _deeper(value: Any, levels: int) -> bool:
    layer = [value]
    while layer and levels >= 0:
        inner = [item.values() if isinstance(item, dict) else item for item in layer]
        layer = [item for items in inner for item in items if isinstance(item, dict | list)]
        levels -= 1
    return bool(layer)


def _write(stream: IO[bytes], data: bytes, deadline: float) -> None:
    view = memoryview(data)
    while view:
        if not select.select([], [stream], [], max(0.0, deadline - time.monotonic()))[1]:
            raise TimeoutError
        view = view[os.write(stream.fileno(), view[:PIPE_BYTES]) :]


def _read_frame(stream: IO[bytes], deadline: float, prefix: int, limit: int) -> bytes:
    """`prefix` bytes, four of length, and so many; all of it is returned."""
    descriptor, start = stream.fileno(), prefix + 4
    data, size = b"", start
    while len(data) < size:
        if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        piece = os.read(descriptor, size - len(data))  # no more: the answer to the next request may be there already
        if not piece:
            raise EOFError
        data = data + piece if data else piece
        if size == start and len(data) >= start:
            size = start + int.from_bytes(data[prefix:start], "little")
            if size > start + limit:
                raise OSError("a frame that is too long")
    return data


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)  # it leads its own session
    except ProcessLookupError:
        pass
    process.wait()
