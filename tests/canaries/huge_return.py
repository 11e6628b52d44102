"""Canary: returns more than anybody wants to read.

Expect: unserialisable: exceed
Held by: result size
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return "x" * 10**7

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
