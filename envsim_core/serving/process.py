"""Server process: started on a free port, waited for, watched while it is asked, and stopped in every case."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Self

from envsim_core.errors import EnvSimError
from envsim_core.serving import watcher

LOOPBACK = "127.0.0.1"
STOP_WITHIN_S = 8.0  # then it is killed
ASK_EVERY_S = 0.5
ASK_TIMEOUT_S = 10.0
PORTS = 5  # a free port can be taken by somebody else before the server binds it
PORT_TAKEN = "address already in use"
TAIL_LINES, TAIL_BYTES = 20, 20_000
EVERYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}


class ServerFailed(EnvSimError):
    """A model's server could not be started, did not become ready, or ended while it was needed."""


class Terminated(SystemExit):
    """This process was asked to end (SIGTERM), or its server has ended."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start one server: command line, what it adds to the environment, and which address answers once it is
    ready. None as a variable's value takes it away."""

    command: list[str]
    environment: Mapping[str, str | None]
    health: str


@dataclass(frozen=True, slots=True)
class Served:
    """A server that is ready."""

    base_url: str
    api_key: str | None = field(repr=False)


@contextmanager
def running_server(
    name: str,
    launch: Callable[[str, int, str | None], Launch],
    log: Path,
    load_limit_s: float,
    host: str = LOOPBACK,
    port: int = 0,
    api_key: str | None = None,
    said: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> Iterator[Served]:
    """A server of the model `name` for as long as the block runs, ready to be asked; `launch` says how to start it at
    (host, port, key).

    Port 0 takes a free one. What the server says is appended to `log`. When the server ends, the block is left with
    ServerFailed, wherever it is; SIGTERM leaves it with SystemExit. The server and whatever it started end with the
    block, and when this process is killed. Raises ServerFailed with the end of the log.
    """
    with left_by_sigterm():
        process = _ready(name, launch, log, load_limit_s, host, port, api_key, said)
        try:
            with process.watched():
                shown = f"[{host}]" if ":" in host else host
                yield Served(f"http://{shown}:{process.port}/v1", api_key)
        finally:
            process.stop()


def new_key() -> str:
    """A key for one server, which is passed in the environment and stands in no command line, file or log."""
    return secrets.token_urlsafe(32)


def _ready(
    name: str,
    launch: Callable[[str, int, str | None], Launch],
    log: Path,
    load_limit_s: float,
    host: str,
    port: int,
    api_key: str | None,
    said: Callable[[str], None],
) -> _Process:
    for left in reversed(range(PORTS)):
        process = _Process(name, log, host, port or _free_port(host), api_key)
        try:
            process.start(launch(host, process.port, api_key))
            said(f'model "{name}": its server is loading on port {process.port}; log: {log}')
            process.wait_until_ready(load_limit_s)
            said(f'model "{name}": ready after {time.monotonic() - process.started:.0f} s')
            return process
        except ServerFailed:
            process.stop()
            if not (left and not port and process.lost_its_port()):
                raise
        except BaseException:
            process.stop()
            raise
    raise AssertionError("the last attempt returns or raises")


class _Process:
    """A watcher and its server."""

    def __init__(self, name: str, log: Path, host: str, port: int, api_key: str | None) -> None:
        self.name, self.log, self.host, self.port, self.api_key = name, log, host, port, api_key
        self.started = time.monotonic()
        self._token = secrets.token_hex(16)  # tells what this server started
        self._log_start = 0
        self._watcher: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._lock = threading.Lock()
        self._launch = Launch([], {}, "/")
        self._server: int | None = None
        self._ended: str | None = None  # how, once the server or its watcher has ended
        self._stranger = False  # somebody else answers at the port
        self._interrupts = False  # the end of the server is to leave the block
        self._interrupted = False  # and did

    def start(self, launch: Launch) -> None:
        self._launch = launch
        self.log.parent.mkdir(parents=True, exist_ok=True)
        inherited = {name: value for name, value in os.environ.items() if name not in launch.environment}
        inherited["ENVSIM_SERVER"] = self._token
        environment = inherited | {name: value for name, value in launch.environment.items() if value is not None}
        with open(self.log, "ab") as log:
            when = time.strftime("%Y-%m-%d %H:%M:%S")
            log.write(f"--- {when} {' '.join(launch.command)}\n".encode())
            log.flush()
            self._log_start = log.tell()
            self._watcher = subprocess.Popen(
                [sys.executable, "-I", "-S", watcher.__file__, str(STOP_WITHIN_S), *launch.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,  # ctrl-C reaches this process alone, which then stops the server
            )
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        assert self._watcher is not None
        assert self._watcher.stdout is not None
        ended = "its watcher was killed"
        for line in self._watcher.stdout:
            told = json.loads(line)
            self._server = told.get("server", self._server)
            if "ended" in told or "error" in told:
                ended = told.get("error") or _how(told["ended"])
        with self._lock:
            self._ended = ended
            if self._interrupts:
                self._interrupted = True
                # a system call of the main thread has to return, so the signal goes to that thread
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def wait_until_ready(self, limit_s: float) -> None:
        """Raises ServerFailed when the server ends first, or is not ready in time."""
        deadline = self.started + limit_s
        while time.monotonic() < deadline:
            if self._ended is not None:
                raise self._failed(f"ended before it was ready ({self._ended})")
            if self._ask(self._launch.health, self.api_key)[0] == 200:
                self._stranger = not self._is_ours()
                if self._stranger:
                    raise self._failed(f"does not answer at port {self.port}: another server does")
                return
            time.sleep(ASK_EVERY_S)
        raise self._failed(f"was not ready after {limit_s:g} s (load_limit_s in its entry)")

    @contextmanager
    def watched(self) -> Iterator[Self]:
        """For this block, the end of the server is an error here."""
        try:
            try:
                with self._lock:
                    self._interrupts = threading.current_thread() is threading.main_thread()
                if self._ended is not None:
                    raise self._lost()
                yield self
            finally:
                with self._lock:
                    self._interrupts = False
        except Terminated:
            if self._interrupted:
                raise self._lost() from None
            raise
        except (EnvSimError, OSError) as error:
            if not self._lives():
                raise self._lost() from error
            raise
        if not self._lives():
            raise self._lost()

    def _lost(self) -> ServerFailed:
        if self._reader is not None:
            self._reader.join(1.0)
        how = self._ended or "its process is gone"
        return self._failed(f"ended while it was needed ({how}); what was answered is kept, run the same command again")

    def lost_its_port(self) -> bool:
        """Whether somebody else was faster."""
        return self._stranger or PORT_TAKEN in self._tail().lower()

    def stop(self) -> None:
        """End the server and whatever it started. Does nothing the second time."""
        if self._watcher is None:
            return
        assert self._watcher.stdin is not None
        assert self._reader is not None
        with contextlib.suppress(OSError):
            self._watcher.stdin.close()
        try:
            self._watcher.wait(STOP_WITHIN_S + watcher.AFTER_KILL_S + 2.0)
        except subprocess.TimeoutExpired:
            self._watcher.kill()
            self._watcher.wait()
        self._reader.join()
        if self._watcher.returncode < 0 and self._server is not None:
            _sweep(self._server, self._token)  # a watcher that was killed could not
        self._watcher = None

    def _lives(self) -> bool:
        try:
            stat = Path(f"/proc/{self._server}/stat").read_bytes()
        except OSError:
            return False
        return stat.rpartition(b") ")[2][:1] not in (b"Z", b"X")

    def _is_ours(self) -> bool:
        """Whether the server knows our key and asks for one, and has our model: a stranger's does not."""
        status, body = self._ask("/v1/models", self.api_key)
        try:
            names = {model.get("id") for model in json.loads(body)["data"]} if status == 200 else set()
        except (ValueError, KeyError, TypeError, AttributeError):
            names = set()
        open_to_all = self.api_key is not None and self._ask("/v1/models", None)[0] == 200
        return self.name in names and not open_to_all

    def _ask(self, path: str, api_key: str | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(EVERYWHERE.get(self.host, self.host), self.port, timeout=ASK_TIMEOUT_S)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {api_key}"} if api_key else {})
            response = connection.getresponse()
            return response.status, response.read(1_000_000)
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def _tail(self) -> str:
        try:
            with open(self.log, "rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, end - TAIL_BYTES))
                text = log.read().decode("utf-8", "replace")
        except OSError:
            return ""
        # a server's words end up on terminals: no control sequences, and no key
        text = text.replace(self.api_key, "[key]") if self.api_key else text
        clean = "".join(one if one.isprintable() or one == "\n" else " " for one in text)
        return "\n".join(clean.splitlines()[-TAIL_LINES:])

    def _failed(self, what: str) -> ServerFailed:
        tail = self._tail()
        end = f"; end of {self.log}:\n{tail}" if tail else f"; {self.log} is empty"
        return ServerFailed(f'model "{self.name}": its server {what}{end}')


@contextmanager
def left_by_sigterm() -> Iterator[None]:
    """For this block, SIGTERM raises Terminated, so that what it holds is put away."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> Any:
        raise Terminated(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        one.bind((host, 0))
        return int(one.getsockname()[1])


def _how(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"


def _sweep(session: int, token: str) -> None:
    """Kill what still runs in the session that a server was the leader of, or was given the server's token."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            fields = (folder / "stat").read_bytes().rpartition(b") ")[2].split()
            ours = int(fields[3]) == session or token.encode() in (folder / "environ").read_bytes()
            if ours and fields[0] not in (b"Z", b"X"):
                os.kill(int(folder.name), signal.SIGKILL)
