"""Canary: allocates without end.

Expect: memory: MiB
Held by: rlimits
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        self.rows = [0] * 10**10

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
