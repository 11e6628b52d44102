"""Sandbox: the layers of isolation that the worker puts around itself, once, and around each child.

Standard library only. Each layer is tried; what cannot be had is a reason, never an exception, and the others stand.
The layers overlap on purpose: without Landlock seccomp still lets no path be opened, without seccomp Landlock still
opens no path, binds no port and lets no signal out.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Callable
from typing import Any

# In the order in which they are listed, in doctor and in every transition.
LAYERS = ("bubblewrap", "landlock", "no_new_privs", "privileges", "rlimits", "seccomp")

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 36, 38, 47, 4
NOBODY = 65534
SIGKILL = 9

# Landlock: how many rights of each kind an ABI knows (linux/landlock.h); all are taken away and none is given back.
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446  # the same number on every architecture
FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # execute ... make_sym, + refer, + truncate, (4: network), + ioctl_dev
NET_RIGHTS, SCOPES = 0b11, 0b11  # bind and connect TCP; abstract Unix sockets and signals

# Syscalls by number: (x86_64, aarch64), None where an architecture has none. What is not named fails with EPERM.
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
CHILD_CALLS: dict[str, tuple[int | None, int | None]] = {
    # the two pipes to the server; nothing else is open but /dev/null
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "close": (3, 57), "fstat": (5, 80),
    "lseek": (8, 62),
    # waiting
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115), "pause": (34, None), "futex": (202, 98), "sched_yield": (24, 124),
    # memory; mmap and mprotect: below
    "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216), "madvise": (28, 233),
    # signals and timers to itself; kill and tgkill: below
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "alarm": (37, None), "getitimer": (36, 102), "setitimer": (38, 103), "restart_syscall": (219, 128),
    # who and when
    "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getrusage": (98, 165), "times": (100, 153), "time": (201, None),
    "gettimeofday": (96, 169), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
EXECUTABLE: dict[str, tuple[int, int]] = {"mmap": (9, 222), "mprotect": (10, 226)}  # allowed without PROT_EXEC
TO_SELF: dict[str, tuple[int, int]] = {"kill": (62, 129), "tgkill": (234, 131)}  # allowed to the process itself
SERVER_CALLS: dict[str, tuple[int | None, int | None]] = {
    "fork": (57, None), "clone": (56, 220), "wait4": (61, 260), "pipe2": (293, 59), "setpgid": (109, 154),
    "prctl": (157, 167), "prlimit64": (302, 261), "getrandom": (318, 278), "set_robust_list": (273, 99),
    "seccomp": (317, 277), "dup2": (33, None), "dup3": (292, 24), "fcntl": (72, 25),
}  # fmt: skip

LOAD, JUMP_EQUAL, JUMP_SET, JUMP_GREATER, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06  # BPF words
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EPERM
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
PROT_EXEC = 4
X32 = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl
_prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]  # variadic: a bare int might come with 32 bits of anything
_euid, _machine = os.geteuid(), os.uname().machine  # read here, because freeze.py will tell everybody something else
_syscall: Callable[..., int] = _libc.syscall
# os.fork runs what libraries registered to be run (locks made anew, generators reseeded from the machine), which costs
# more than the fork itself. The server has one thread and holds no lock, so nothing of that is needed.
fork: Callable[[], int] = ctypes.PyDLL(None).fork


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Filter:
    """A seccomp program; `install` binds it for ever to this process and what it forks."""

    def __init__(self, server: bool) -> None:
        machine = known_machine()
        self._words: list[tuple[int, int, int, int]] = []
        self._own: list[int] = []  # instructions that compare with the process's own number
        place = list(AUDIT_ARCH).index(machine)
        self._add(LOAD, 0, 0, ARCHITECTURE)
        self._add(JUMP_EQUAL, 1, 0, AUDIT_ARCH[machine])
        self._add(RETURN, 0, 0, REFUSE)
        self._add(LOAD, 0, 0, NUMBER)
        if machine == "x86_64":
            self._add(JUMP_GREATER, 0, 1, X32)  # the same calls under other numbers
            self._add(RETURN, 0, 0, REFUSE)
        allowed = CHILD_CALLS | (SERVER_CALLS if server else {})
        for numbers in (*allowed.values(), *(TO_SELF.values() if server else ())):
            if (number := numbers[place]) is not None:
                self._add(JUMP_EQUAL, 0, 1, number)
                self._add(RETURN, 0, 0, ALLOW)
        for pair in EXECUTABLE.values():
            self._add(JUMP_EQUAL, 0, 4, pair[place])
            self._add(LOAD, 0, 0, ARGUMENTS + 8 * 2)
            self._add(JUMP_SET, 1, 0, PROT_EXEC)
            self._add(RETURN, 0, 0, ALLOW)
            self._add(RETURN, 0, 0, REFUSE)
        for pair in () if server else TO_SELF.values():
            self._add(JUMP_EQUAL, 0, 4, pair[place])
            self._add(LOAD, 0, 0, ARGUMENTS)
            self._own.append(len(self._words))
            self._add(JUMP_EQUAL, 0, 1, 0)
            self._add(RETURN, 0, 0, ALLOW)
            self._add(RETURN, 0, 0, REFUSE)
        self._add(RETURN, 0, 0, REFUSE)
        code = b"".join(struct.pack("HBBI", *word) for word in self._words)
        self._buffer = ctypes.create_string_buffer(code, len(code))
        self._program = _Program(len(self._words), ctypes.addressof(self._buffer))
        self._address = ctypes.addressof(self._program)

    def install(self, own: int) -> None:
        """Raises OSError where the kernel does not have it."""
        for index in self._own:
            struct.pack_into("I", self._buffer, 8 * index + 4, own)
        _check(_prctl(PR_SET_SECCOMP, 2, self._address, 0, 0))

    def _add(self, code: int, if_true: int, if_false: int, value: int) -> None:
        self._words.append((code, if_true, if_false, value))


def known_machine() -> str:
    """The architecture; OSError where the syscall numbers of this one are not known here."""
    if sys.platform != "linux":
        raise OSError(f"{sys.platform} has no seccomp")
    if _machine not in AUDIT_ARCH:
        raise OSError(f"the system calls of {_machine} are not known to envsim_core/executor/sandbox.py")
    return _machine


def harden(without: tuple[str, ...], outside: str) -> tuple[dict[str, str], Filter | None]:
    """Put every layer that this kernel has around this process; ({layer: "" or why it is missing}, child's filter).

    `outside` says why bubblewrap is not around it. Irrevocable: everything that is to be imported has been imported.
    """
    filters: list[Filter] = []

    def seccomp() -> None:
        child, server = Filter(server=False), Filter(server=True)
        server.install(0)
        filters.append(child)

    steps: dict[str, Callable[[], None]] = {
        "no_new_privs": lambda: _check(_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)),
        "privileges": _drop_privileges,
        "rlimits": _limit_server,
        "landlock": _landlock,
        "seccomp": seccomp,
    }
    found = {"bubblewrap": outside}
    for name, step in steps.items():
        try:
            if name in without:
                raise OSError("switched off by the caller")
            step()
            found[name] = ""
        except (OSError, ValueError, AttributeError) as error:
            found[name] = getattr(error, "strerror", None) or str(error)
    return {name: found[name] for name in LAYERS}, filters[0] if filters else None


def adopt_orphans() -> None:
    """Whatever a child leaves behind becomes a child of this process, where `sweep` finds it."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def confine_child(cpu_s: int, memory_bytes: int, rlimits: bool, filter: Filter | None, own: int) -> None:
    """In a forked child: what cannot be inherited. OSError means that it must not go on."""
    _prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    try:
        os.setpgid(0, 0)
    except OSError:
        pass  # only names a group, that the server can do without
    if rlimits:
        _limit(resource.RLIMIT_CPU, cpu_s, cpu_s + 1)
        _limit(resource.RLIMIT_AS, memory_bytes, memory_bytes)
        _limit(resource.RLIMIT_NPROC, 0, 0)
    if filter is not None:
        filter.install(own)


def _drop_privileges() -> None:
    """No capability, and nobody's rights where the process was root."""
    _prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    last = 0
    while last < 64 and _prctl(PR_CAPBSET_DROP, last, 0, 0, 0) == 0:
        last += 1  # fails at the first one when it is not allowed: then there is nothing to inherit either
    if _euid == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        _prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # a change of user may set it again
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header, empty = struct.pack("Ii", 0x20080522, 0), bytes(24)  # _LINUX_CAPABILITY_VERSION_3, this process
    _check(_libc.capset(header, empty))


def _limit_server() -> None:
    """Limits that server and children share; time, memory and processes are each child's own."""
    for what, value in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        _limit(what, value, value)


def _limit(what: int, soft: int, hard: int) -> None:
    ceiling = resource.getrlimit(what)[1]
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(what, (soft, hard))


def landlock_abi() -> int:
    """The version of Landlock that this kernel has; OSError where it has none."""
    if sys.platform != "linux":
        raise OSError(f"{sys.platform} has no Landlock")
    abi = _syscall(_long(LANDLOCK_CREATE_RULESET), None, _long(0), _long(1))
    _check(abi)
    return abi


def _landlock() -> None:
    abi = landlock_abi()
    rights = (1 << FS_RIGHTS[min(abi, max(FS_RIGHTS))]) - 1
    attributes = struct.pack("QQQ", rights, NET_RIGHTS if abi >= 4 else 0, SCOPES if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _syscall(_long(LANDLOCK_CREATE_RULESET), attributes, _long(size), _long(0))
    _check(ruleset)
    try:
        _check(_syscall(_long(LANDLOCK_RESTRICT_SELF), _long(ruleset), _long(0)))
    finally:
        os.close(ruleset)


def _long(value: int) -> Any:
    return ctypes.c_long(value)  # a bare int would be passed as 32 bits


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
