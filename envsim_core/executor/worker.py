"""Worker: the process that executes untrusted environment code, one fork per call. Standard library only.

Started as a script by Executor. A frame is four bytes of length and so much JSON. It reads one frame of set-up, answers
with one frame of the layers of isolation it has, then answers each request with one byte (0: the child wrote what
follows, 1: the server did) and a frame.

The server never runs environment code. It imports what the code will ask for, hardens itself once, and from then on
forks, passes bytes on, watches the clock, kills, and reports. The child for the next call is forked ahead of it: it has
run the module's own code when its request arrives.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from opcode import opmap
from time import monotonic
from typing import TYPE_CHECKING, Any

real_kill, own_number = os.kill, os.getpid  # the world that freeze installs has others

if TYPE_CHECKING:
    from envsim_core.executor import child, freeze, sandbox
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import sandbox

    time.tzset()
    import freeze

    freeze.install()  # before anything else takes a clock by name
    import child

    del sys.path[0]

CHUNK = 60 * 1024  # an empty pipe takes this at once
HEADER = len(child.MARK) + 4
CHILD_WROTE, SERVER_WROTE = b"\0", b"\1"
# Importing one of these does something, or would be wrong in a process that is forked for every call.
NOT_IMPORTED = {
    "__main__", "_ctypes", "antigravity", "ctypes", "ensurepip", "idlelib", "lib2to3", "pip", "pty", "rlcompleter",
    "site", "sitecustomize", "test", "this", "tkinter", "turtle", "turtledemo", "usercustomize", "venv", "webbrowser",
}  # fmt: skip
# What parts of the standard library import only when they are used: (a word in the code, the modules).
LATER = (
    ("strptime", "_strptime"),
    ("uuid", "random"),
    ("warn", "linecache tracemalloc"),
    ("code", " ".join(f"encodings.{name}" for name in ("ascii", "latin_1", "cp1252", "idna", "utf_16", "utf_32"))),
    ("socket", "encodings.idna"),
    ("url", "encodings.idna"),
    ("http", "encodings.idna"),
    ("zoneinfo", "zoneinfo._common importlib.resources importlib.readers"),
)


EXTENDED_ARG, IMPORT_NAME, IMPORT_FROM = (opmap[name] for name in ("EXTENDED_ARG", "IMPORT_NAME", "IMPORT_FROM"))


class Child:
    """A forked child: its number, where its request goes, where its reply comes from."""

    __slots__ = ("number", "receive", "send")

    def __init__(self, number: int, send: int, receive: int) -> None:
        self.number, self.send, self.receive = number, send, receive


class Server:
    """The loop that forks. What passes through it lies in memory that children do not get, and in no frame's locals."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self.setup = setup
        self.limit = setup["result_bytes"]
        self.passing = memoryview(_not_inherited(CHUNK))
        self.answer = memoryview(_not_inherited(self.limit + CHUNK))
        self.children = _open_list_of_children()
        self.spare: Child | None = None
        self.layers: dict[str, str] = {}
        self.filter: Any = None

    def harden(self) -> None:
        """Import, compile, and put every layer around this process; nothing can be opened or imported afterwards."""
        try:
            # once, for all calls; what it means when it cannot be compiled is said by each call
            self.setup["compiled"] = compile(self.setup["code"], child.FILE_NAME, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            self.setup["compiled"] = None
        import_modules(self.setup["code"], self.setup["compiled"])
        freeze.install_late()
        # what is not loaded now can never be: the same on every machine, whatever its layers
        sys.meta_path.clear()
        sys.path_hooks.clear()
        sys.path.clear()
        sys.path_importer_cache.clear()
        for name in list(sys.modules):
            if name.partition(".")[0] in ("ctypes", "_ctypes", "child", "freeze", "sandbox"):
                del sys.modules[name]
        os.environ.clear()
        sandbox.adopt_orphans()
        without = tuple(self.setup["without"])
        self.layers, self.filter = sandbox.harden(without, self.setup["outside"])
        gc.collect()
        gc.freeze()  # a collection in a child would touch, and so copy, every page

    def serve(self) -> None:
        """Answer requests until the input ends."""
        while self.serve_one():
            pass
        if self.spare is not None:
            self.end(self.spare)

    def serve_one(self) -> bool:
        """One request, one reply; False at the end of the input."""
        if not read_into(0, self.passing[:4]):
            return False
        worker, self.spare = self.spare or self.fork(), None
        deadline = monotonic() + self.setup["wall_s"]
        if not self.relay(worker, deadline):
            return False
        if self.filter is not None:
            # while the call runs; a child without its seccomp filter could reach one that waits
            self.spare = self.fork(worker)
        size, late = self.collect(worker, deadline)
        if size is not None and size <= self.limit and not late:
            write_all(1, CHILD_WROTE)
            write_all(1, self.answer[HEADER - 4 : HEADER + size])
            self.end(worker)
        else:
            reason = json.dumps(self.ending(worker, late, size is not None)).encode()
            write_all(1, SERVER_WROTE + len(reason).to_bytes(4, "little") + reason)
        if self.spare is None:
            self.spare = self.fork()
        return True

    def fork(self, other: Child | None = None) -> Child:
        """A child that has read nothing yet; `other` is one whose pipes it must not keep."""
        take, send = os.pipe()
        receive, give = os.pipe()
        number = sandbox.fork()
        if number < 0:
            raise OSError("cannot fork")
        if number == 0:
            for descriptor in (send, receive, *(() if other is None else (other.send, other.receive))):
                os.close(descriptor)
            if self.children is not None:
                os.close(self.children)
            for descriptor in (0, 1):
                os.dup2(2, descriptor)
            child.main(self.setup, take, give, self.confine)
        os.close(take)
        os.close(give)
        return Child(number, send, receive)

    def confine(self) -> None:
        """In the child."""
        rlimits = not self.layers["rlimits"]
        sandbox.confine_child(self.setup["cpu_s"], self.setup["memory_bytes"], rlimits, self.filter, own_number())

    def relay(self, worker: Child, deadline: float) -> bool:
        """Pass the request on, whose length has been read; False when the input ends in the middle of it.

        A child that is dead or does not read is no reason to stop reading: what it was is seen when it answers.
        """
        left = int.from_bytes(self.passing[:4], "little")
        have, open_end, first = 4, True, True
        while have:
            view = self.passing[:have]
            while view and open_end:
                if not first and not _ready(worker.send, select.POLLOUT, deadline):
                    open_end = False
                    break
                try:
                    # later on a pipe that is ready takes PIPE_BUF without waiting, and no more is sure
                    view = view[os.write(worker.send, view if first else view[:4096]) :]
                except OSError:
                    open_end = False
                first = False
            if not left:
                break
            have = os.readv(0, [self.passing[: min(left, CHUNK)]])
            if not have:
                return False
            left -= have
        return True

    def collect(self, worker: Child, deadline: float) -> tuple[int | None, bool]:
        """(size of the reply, whether time ran out before it was whole); None where there is no reply to be had."""
        have, size = 0, None
        while size is None or (have < HEADER + size and size <= self.limit):
            if not _ready(worker.receive, select.POLLIN, deadline):
                return None, True
            count = os.readv(worker.receive, [self.answer[have:]])
            if not count:
                return None, False
            have += count
            if size is None and have >= HEADER:
                if self.answer[: len(child.MARK)] != child.MARK:
                    return None, False  # code that writes to whatever it finds open
                size = int.from_bytes(self.answer[HEADER - 4 : HEADER], "little")
        return size, False

    def ending(self, worker: Child, late: bool, long: bool) -> tuple[str, str]:
        """End a child that gave no result; (status, reason)."""
        setup = self.setup
        if late or long:
            self.end(worker)
            if late:
                return "timeout", f"more than {setup['wall_s']:g} s of wall-clock time"
            return "unserialisable", f"state and observation exceed {self.limit // 1024} KiB"
        for _ in range(200):  # no answer: by its end, whose reason is worth a moment, or on purpose
            number, status, usage = os.wait4(worker.number, os.WNOHANG)
            if number:
                self.end(worker, reaped=True)
                break
            select.select([], [], [], 0.001)
        else:
            self.end(worker)
            return "crashed", "closed its connection, or wrote to it, before it had answered"
        if usage.ru_utime + usage.ru_stime >= setup["cpu_s"] or status == signal.SIGXCPU:
            return "timeout", f"more than {setup['cpu_s']} s of CPU time"
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name if os.WTERMSIG(status) < 32 else "a real-time signal"
            return "crashed", f"killed by {name}"
        return "crashed", f"the process exited with status {os.WEXITSTATUS(status)} in the middle of the call"

    def end(self, worker: Child, reaped: bool = False) -> None:
        """Kill a child and all that it started, wherever that has gone."""
        os.close(worker.send)
        os.close(worker.receive)
        if not reaped:
            _kill(worker.number)
            os.waitpid(worker.number, 0)
        if self.filter is None:  # under the filter there is nothing that it could have started
            _kill(-worker.number)
            self.sweep()

    def sweep(self) -> None:
        """Kill what is left of this process's children, orphans that it adopted included, until there is none."""
        for _ in range(10000):
            if self.children is not None:
                os.lseek(self.children, 0, os.SEEK_SET)
                for number in os.read(self.children, CHUNK).split():
                    _kill(int(number))
            try:
                if self.children is None and os.waitpid(-1, os.WNOHANG)[0] == 0:
                    return  # something lives, and its number is not known here
                if self.children is not None:
                    os.waitpid(-1, 0)
            except ChildProcessError:
                return


def _not_inherited(size: int) -> mmap.mmap:
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_DONTFORK"):
        memory.madvise(mmap.MADV_DONTFORK)
    return memory


def _open_list_of_children() -> int | None:
    number = own_number()
    try:
        return os.open(f"/proc/{number}/task/{number}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # another system, or a kernel without it: the limit of processes has to do


def _ready(descriptor: int, event: int, deadline: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(max(0.0, deadline - monotonic()) * 1000))


def _kill(number: int) -> None:
    try:
        real_kill(number, signal.SIGKILL)
    except OSError:
        pass


def import_modules(code: str, compiled: Any) -> None:
    """Import what the code imports anywhere, if it is of the standard library; what fails here fails again later."""
    names = [] if compiled is None else list(imported_names(compiled))
    for word, modules in LATER:
        if word in code:
            names += modules.split()
    for name in names:
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names and top not in NOT_IMPORTED:
            try:
                __import__(name)
            except (ImportError, OSError, ValueError):
                pass  # `from module import name` names no module as often as it names one


def imported_names(code: Any) -> Iterator[str]:
    """Every module that compiled code imports, or may: read off the bytecode, for a syntax tree takes megabytes."""
    module, extended = "", 0
    for operation, argument in zip(code.co_code[::2], code.co_code[1::2], strict=True):
        argument |= extended
        extended = argument << 8 if operation == EXTENDED_ARG else 0
        if operation == IMPORT_NAME:
            module = code.co_names[argument]
            yield module
        elif operation == IMPORT_FROM:
            yield f"{module}.{code.co_names[argument]}"
    for constant in code.co_consts:
        if isinstance(constant, type(code)):
            yield from imported_names(constant)


def read_into(descriptor: int, view: memoryview) -> bool:
    """Fill `view`; False at the end of the input."""
    while view:
        count = os.readv(descriptor, [view])
        if not count:
            return False
        view = view[count:]
    return True


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """os.write until everything is written."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def main() -> None:
    """Set up, say which layers there are, serve."""
    server = Server(json.loads(child.read_frame(0)))
    server.harden()
    child.write_frame(1, json.dumps(server.layers).encode())
    server.serve()


if __name__ == "__main__":
    main()
