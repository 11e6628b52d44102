"""Canary: computes a number that no memory holds.

Expect: timeout:
Held by: rlimits, wall clock
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return 9 ** (9**9)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
