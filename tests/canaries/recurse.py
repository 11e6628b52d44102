"""Canary: calls itself for ever.

Expect: raised: RecursionError
Held by: interpreter
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return self.attack(target)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
