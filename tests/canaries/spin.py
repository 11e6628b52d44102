"""Canary: computes for ever.

Expect: timeout: CPU time
Held by: rlimits, wall clock
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        while True:
            pass

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
