"""Freeze: the world that environment code lives in. Its clock, ids and random numbers come from a seed.

Standard library only: the parent imports it for `World`, the worker for `install` and `enter`. The clock stands still
but for `time.sleep`, which returns at once and moves it. Every draw comes from BLAKE2b over (world seed, state,
action), so a call's randomness depends on nothing else, and a slice of the code draws the same ids as all of it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from _blake2 import blake2b  # hashlib would map OpenSSL into a process that is forked for every call
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

DEFAULT_NOW = "2025-06-02T09:00:00Z"  # a Monday, long past, so that no machine's own clock can be mistaken for it
MONOTONIC_START = 1000 * 10**9  # time.monotonic() of the frozen world when its call begins, in nanoseconds
PID, PARENT_PID, USER_ID = 4242, 1, 1000
NODE = 0x0242AC110002  # what uuid.getnode() says
HOST = "localhost"


class World:
    """What a call can see of the world besides its state: `seed`, `now` (ISO 8601, UTC) and the seed of hash order.

    `World(...)` is where a benchmark happens; `for_call` gives the one that a single call sees.
    """

    __slots__ = ("entropy", "hash_seed", "nanoseconds", "now", "seed")

    def __init__(self, seed: str = "0", now: str = DEFAULT_NOW, hash_seed: int = 0, entropy: bytes = b"") -> None:
        self.seed, self.now, self.hash_seed, self.entropy = seed, now, hash_seed, entropy
        self.nanoseconds = _nanoseconds(now)
        if not 0 <= hash_seed <= 4294967295:
            raise ValueError(f"hash_seed {hash_seed}: PYTHONHASHSEED is a number from 0 to 4294967295")

    def __repr__(self) -> str:
        return f"World(seed={self.seed!r}, now={self.now!r}, hash_seed={self.hash_seed})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, World) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, str, int, bytes]:
        return self.seed, self.now, self.hash_seed, self.entropy

    def replace(self, seed: str | None = None, now: str | None = None, hash_seed: int | None = None) -> World:
        """The same world but for what is given."""
        return World(
            self.seed if seed is None else seed,
            self.now if now is None else now,
            self.hash_seed if hash_seed is None else hash_seed,
            self.entropy,
        )

    def for_call(self, state: Mapping[str, Any], name: str, arguments: Mapping[str, Any]) -> World:
        """The world of one call: equal (seed, state, action) give equal draws."""
        return World(self.seed, self.now, self.hash_seed, entropy_of(self.seed, state, name, arguments))

    def next_ids(self, count: int) -> list[str]:
        """The texts of the first `count` `uuid.uuid4()` of the call, if it draws nothing else from os.urandom.

        `secrets.token_hex` and `uuid4().hex[:8]` read the same bytes: see `next_bytes`.
        """
        return [_uuid4(self.next_bytes(16 * count)[16 * n : 16 * n + 16]) for n in range(count)]

    def next_bytes(self, count: int) -> bytes:
        """The first bytes that `os.urandom`, `secrets` and `uuid.uuid4` read in the call."""
        return Stream(self._entropy()).read(count)

    def next_random(self, count: int) -> list[float]:
        """The first `count` values of `random.random()` in the call."""
        from random import Random

        generator = Random(Stream(self._entropy()).number("random"))
        return [generator.random() for _ in range(count)]

    def _entropy(self) -> bytes:
        if not self.entropy:
            raise ValueError("what comes next is known of one call alone: use for_call(state, name, arguments)")
        return self.entropy


def entropy_of(seed: str, state: Mapping[str, Any], name: str, arguments: Mapping[str, Any]) -> bytes:
    """32 bytes that everything random in a call comes from."""
    content = json.dumps([seed, state, name, arguments], sort_keys=True, separators=(",", ":"))
    return blake2b(content.encode(), digest_size=32).digest()


class Stream:
    """An endless row of bytes from a seed. `entropy` may be given as a function, called when first needed."""

    def __init__(self, entropy: bytes | Callable[[], bytes]) -> None:
        self._entropy = entropy
        self._buffer = b""
        self._blocks = self._generators = 0

    def read(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count < 0:
            raise ValueError("negative argument not allowed")  # as os.urandom says it
        key, pieces, have = self._key(), [self._buffer], len(self._buffer)
        while have < count:
            pieces.append(blake2b(self._blocks.to_bytes(8, "little"), key=key).digest())
            self._blocks += 1
            have += 64
        data = b"".join(pieces)
        self._buffer = data[count:]
        return data[:count]

    def number(self, purpose: str) -> int:
        """A seed for the generator of that name, apart from the row of bytes."""
        return int.from_bytes(blake2b(purpose.encode(), key=self._key(), digest_size=32).digest(), "big")

    def generator(self) -> int:
        """The seed of the next Random() that is made without one."""
        self._generators += 1
        return self.number(f"Random {self._generators}")

    def _key(self) -> bytes:
        if callable(self._entropy):
            self._entropy = self._entropy()
        return self._entropy


def _nanoseconds(now: str) -> int:
    import datetime

    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)  # noqa: UP017 - UTC is a later alias
    moment = datetime.datetime.fromisoformat(now)
    if moment.tzinfo is None:
        raise ValueError(f"now {now!r}: an instant needs its zone, for example {DEFAULT_NOW}")
    return (moment - epoch) // datetime.timedelta(microseconds=1) * 1000


def _uuid4(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    number = number & ~(0xC000 << 48) | 0x8000 << 48  # RFC 4122
    number = number & ~(0xF000 << 64) | 4 << 76
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class _Now:
    """The state of the frozen world in this process."""

    wall = elapsed = 0
    stream = Stream(bytes(32))


def enter(now: int, entropy: Callable[[], bytes], generators: bool) -> None:
    """Begin a call at `now` (nanoseconds): the clock is set, and what is drawn comes from `entropy`.

    `generators`: seed the functions of the module `random` too; without it they go on from a constant.
    """
    _Now.wall, _Now.elapsed, _Now.stream = now, 0, Stream(entropy)
    random = sys.modules.get("random")
    if generators and random is not None:
        random._inst.seed(_Now.stream.number("random"))


def install() -> None:
    """Freeze clock and process: before anything else imports `time.time` by name."""
    _freeze_time()
    _freeze_os()
    _freeze_datetime()


def install_late() -> None:
    """Freeze what is loaded of random, uuid and socket; `install` came before they were."""
    if "random" in sys.modules:
        _freeze_random(sys.modules["random"])
    if "uuid" in sys.modules:
        uuid: Any = sys.modules["uuid"]
        uuid._generate_time_safe = uuid._UuidCreate = None  # libuuid reads the machine's clock and network card
        uuid._last_timestamp, uuid._node = None, NODE
    for name in ("socket", "_socket"):
        if name in sys.modules:
            sys.modules[name].gethostname = lambda: HOST  # type: ignore[attr-defined]


def _freeze_time() -> None:
    real_localtime, real_gmtime, real_strftime, real_asctime = time.localtime, time.gmtime, time.strftime, time.asctime

    def wall_ns() -> int:
        return _Now.wall + _Now.elapsed

    def monotonic_ns() -> int:
        return MONOTONIC_START + _Now.elapsed

    def process_ns() -> int:
        return 0

    def sleep(seconds: float, /) -> None:
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        _Now.elapsed += int(seconds * 10**9)

    def clock_gettime_ns(clock: int, /) -> int:
        return wall_ns() if clock == time.CLOCK_REALTIME else monotonic_ns()

    def clock_gettime(clock: int, /) -> float:
        return clock_gettime_ns(clock) / 1e9

    def localtime(seconds: float | None = None, /) -> time.struct_time:
        return real_localtime(wall_ns() // 10**9 if seconds is None else seconds)

    def gmtime(seconds: float | None = None, /) -> time.struct_time:
        return real_gmtime(wall_ns() // 10**9 if seconds is None else seconds)

    def asctime(moment: Any = None, /) -> str:
        return real_asctime(localtime() if moment is None else moment)

    def ctime(seconds: float | None = None, /) -> str:
        return real_asctime(localtime(seconds))

    def strftime(format: str, moment: Any = None, /) -> str:
        return real_strftime(format, localtime() if moment is None else moment)

    nanoseconds = {
        "time": wall_ns,
        "monotonic": monotonic_ns,
        "perf_counter": monotonic_ns,
        "process_time": process_ns,
        "thread_time": process_ns,
    }
    for name, function in nanoseconds.items():
        _replace(time, f"{name}_ns", function)
        _replace(time, name, _in_seconds(function))
    _replace(time, "clock_gettime_ns", clock_gettime_ns)
    for other in (sleep, clock_gettime, localtime, gmtime, asctime, ctime, strftime):
        _replace(time, other.__name__, other)


def _in_seconds(function: Callable[[], int]) -> Callable[[], float]:
    return lambda: function() / 1e9


def _freeze_os() -> None:
    real_kill = os.kill

    def urandom(size: int, /) -> bytes:
        return _Now.stream.read(size)

    def getrandom(size: int, flags: int = 0) -> bytes:
        return urandom(size)

    def kill(pid: int, signal: int, /) -> None:
        real_kill(_pid() if pid == PID else pid, signal)

    _pid = os.getpid
    constant: dict[str, Any] = dict.fromkeys(("getuid", "geteuid", "getgid", "getegid"), USER_ID)
    constant |= {"getpid": PID, "getppid": PARENT_PID, "getpgrp": PID, "cpu_count": 1, "getcwd": "/", "getcwdb": b"/"}
    constant |= {"getlogin": "user", "getloadavg": (0.0, 0.0, 0.0), "times": os.times_result((0.0,) * 5)}
    constant["uname"] = os.uname_result(("Linux", HOST, "1", "1", "unknown"))
    constant["process_cpu_count"] = 1
    for module in (os, sys.modules["posix"]):
        for name, value in constant.items():
            _replace(module, name, _constant(value))
        _replace(module, "urandom", urandom)
        _replace(module, "getrandom", getrandom)
        _replace(module, "kill", kill)


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def _freeze_datetime() -> None:
    """Put now(), utcnow() and today() into the classes themselves.

    A subclass would leave isinstance, pickle, repr and C callers with two kinds of datetime; so the class keeps its
    identity, and only these entries of its (otherwise immutable) dictionary change.
    """
    import ctypes
    import datetime
    import gc

    epoch, microsecond = datetime.datetime(1970, 1, 1), datetime.timedelta(microseconds=1)

    def moment() -> datetime.datetime:
        return epoch + microsecond * ((_Now.wall + _Now.elapsed) // 1000)

    def naive(cls: type[datetime.datetime]) -> datetime.datetime:
        at = moment()
        if cls is datetime.datetime:
            return at
        return cls(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond)

    def now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> datetime.datetime:
        if tz is None:
            return naive(cls)
        if not isinstance(tz, datetime.tzinfo):
            kind = type(tz).__name__
            raise TypeError(f"tzinfo argument must be None or of a tzinfo subclass, not type '{kind}'")
        return tz.fromutc(naive(cls).replace(tzinfo=tz))

    def today(cls: type[datetime.date]) -> datetime.date:
        at = moment()
        return cls(at.year, at.month, at.day)

    for kind, functions in (
        (datetime.datetime, {"now": now, "utcnow": naive, "today": naive}),
        (datetime.date, {"today": today}),
    ):
        entries = gc.get_referents(kind.__dict__)[0]
        for name, function in functions.items():
            function.__name__ = name
            entries[name] = classmethod(function)
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
    for frozen in (datetime.datetime.now(), datetime.datetime.today(), datetime.datetime.utcnow()):
        if frozen != epoch:
            raise RuntimeError(f"this Python ({sys.version.split()[0]}) does not let datetime be frozen")


def _freeze_random(random: Any) -> None:
    real_seed = random.Random.seed

    def seed(self: Random, a: Any = None, version: int = 2) -> None:
        if a is None and not isinstance(self, random.SystemRandom):
            a = _Now.stream.generator()
        real_seed(self, a, version)

    random.Random.seed = seed
    random._urandom = lambda size: _Now.stream.read(size)
    # the module's own generator is seeded anew at every fork; a second one, that nobody seeds, takes its place
    old, random._inst = random._inst, random.Random(0)
    for name, value in list(vars(random).items()):
        if getattr(value, "__self__", None) is old:
            setattr(random, name, getattr(random._inst, name))


def _replace(module: Any, name: str, function: Callable[..., Any]) -> None:
    """Put `function` in place of a module's own, where the platform has it."""
    if hasattr(module, name):
        function.__name__ = function.__qualname__ = name
        setattr(module, name, function)
