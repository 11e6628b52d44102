"""Canary: opens a file in C.

Expect: raised: RuntimeError: refused
Held by: landlock, seccomp
"""


def library():
    """ctypes cannot be imported, but its classes are still there."""
    waiting = [object]
    while waiting:
        kind = waiting.pop()
        if kind.__name__ == "CDLL":
            return kind(None, use_errno=True)
        waiting += type.__subclasses__(kind)
    raise RuntimeError("no ctypes")


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        libc = library()
        if libc.open(target["folder"].encode() + b"/new", 0o101, 0o666) < 0:
            raise RuntimeError("refused")

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
