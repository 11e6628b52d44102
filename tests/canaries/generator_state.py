"""Canary: keeps a generator between calls.

Expect: raised: RuntimeError: first
Held by: fork per call
"""

COUNT = iter(range(1000))


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        first = next(COUNT)
        raise RuntimeError("first" if first == 0 else f"call {first} remembers the others")

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
