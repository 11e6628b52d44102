"""Canary: overflows the C stack.

Expect: crashed: killed by SIGSEGV
Held by: protocol
"""

import sys


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        sys.setrecursionlimit(10**9)
        value = []
        for _ in range(10**6):
            value = [value]
        repr_of = type("Deep", (list,), {"__repr__": lambda self: repr(list(self))})

        class Again:
            def __getattr__(self, name):
                return getattr(self, name)

        return Again().x

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
