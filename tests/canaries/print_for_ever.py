"""Canary: prints for ever.

Expect: timeout:
Held by: rlimits, wall clock
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        while True:
            print("x" * 1000)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
