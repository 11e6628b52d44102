"""Executor: runs environment code, which is untrusted, in another process with hard limits.

A small server process (worker.py) forks for every call, so that a call starts from the state that it is given and
from nothing else: no module variable, class attribute or monkey patch of an earlier call survives. What a call does
to itself (raise, loop, allocate, exit, print) becomes the status of its outcome, never an exception here.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, get_args

from envsim_core.config import Limits
from envsim_core.errors import EnvSimError
from envsim_core.records import Action, JsonObject

WORKER = Path(__file__).with_name("worker.py")
MARGIN_S = 10.0  # the worker enforces the wall clock; a worker that is this late itself is killed
MAX_HEADER = 65536

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


class Executor:
    """One environment class, ready to be called; a context manager that ends its worker process.

    `code` is the source of the class with its imports and constants, `class_name` the class in it.
    """

    def __init__(self, code: str, class_name: str, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._setup = {
            "code": code,
            "class_name": class_name,
            "wall_s": self._limits.wall_s,
            "cpu_s": self._limits.cpu_s,
            "memory_bytes": self._limits.memory_mb * 1024 * 1024,
            "result_bytes": self._limits.result_kb * 1024,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def reset(self, init_config: Mapping[str, Any]) -> Outcome:
        """A fresh instance with every key of `init_config` set as an attribute; `state_after` is the first state."""
        return self._call({"op": "reset", "state": dict(init_config)})

    def run(self, state: Mapping[str, Any], action: Action) -> Outcome:
        """Call one tool in `state`. The outcome depends on the code, the state and the action alone."""
        return self._call({"op": "run", "state": dict(state), "name": action.name, "arguments": action.arguments})

    def scenario(self, seed: str, size: int) -> Outcome:
        """Call the module's `scenario(rng, size)`, the generator seeded by `seed`; `state_after` is what it returns."""
        return self._call({"op": "scenario", "state": {}, "seed": seed, "size": size})

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

    def _call(self, request: dict[str, Any]) -> Outcome:
        try:
            line = json.dumps(request).encode() + b"\n"
        except (TypeError, ValueError, RecursionError) as error:
            return Outcome("unserialisable", f"the call cannot be written as JSON: {error}")
        process = self._started()
        assert process.stdin is not None and process.stdout is not None  # opened as pipes below
        try:
            process.stdin.write(line)
            process.stdin.flush()
            deadline = time.monotonic() + self._limits.wall_s + MARGIN_S
            header = json.loads(_read(process.stdout, deadline, None))
            body = _read(process.stdout, deadline, int(header["size"]))
        except (OSError, EOFError, ValueError, KeyError, TypeError, TimeoutError) as error:
            self.close()
            return Outcome("crashed", f"the worker process was lost ({type(error).__name__})")
        return _outcome(header, body)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-s", "-S", "-P", "-B", str(WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # nothing of the caller's environment; a fixed hash seed keeps the order of sets the same on every run
                env={"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "TZ": "UTC"},
                cwd="/",
                close_fds=True,
                start_new_session=True,
                bufsize=0,
            )
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(self._setup).encode() + b"\n")
        except OSError as error:
            raise ExecutorError(f"cannot start the executor's worker ({sys.executable} {WORKER}): {error}") from error
        return self._process


def _outcome(header: dict[str, Any], body: bytes) -> Outcome:
    if header["status"] != "done":
        return Outcome(header["status"], str(header["reason"]))
    try:
        result = json.loads(body)  # written by the environment's own process: trust nothing in it
        status, reason = result["status"], result["reason"]
        observation, state = result["observation"], result["state"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Outcome("crashed", "ended without a readable result")
    if status not in STATUSES or not isinstance(reason, str):
        return Outcome("crashed", "ended without a readable result")
    if status != "ok":
        return Outcome(status, reason[:1000])
    if not isinstance(state, dict) or not (observation is None or isinstance(observation, str)):
        return Outcome("crashed", "ended without a readable result")
    return Outcome("ok", "", observation, state)


def _read(stream: IO[bytes], deadline: float, size: int | None) -> bytes:
    """`size` bytes, or one line when `size` is None."""
    descriptor, data = stream.fileno(), bytearray()
    while size is None or len(data) < size:
        if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        # a header is read byte by byte, so that nothing of the body is taken with it
        piece = os.read(descriptor, 1 if size is None else size - len(data))
        if not piece or (size is None and len(data) > MAX_HEADER):
            raise EOFError
        data += piece
        if size is None and piece == b"\n":
            break
    return bytes(data)


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)  # it leads its own session
    except ProcessLookupError:
        pass
    process.wait()
