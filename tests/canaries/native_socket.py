"""Canary: connects in C.

Expect: raised: RuntimeError: refused
Held by: seccomp
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
        if library().socket(2, 1, 0) < 0:
            raise RuntimeError("refused")

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
