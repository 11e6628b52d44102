"""Canary: has a state that is too large.

Expect: unserialisable: exceed
Held by: result size
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        self.rows = ["x" * 1000] * 10**4

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
