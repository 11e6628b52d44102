"""Canary: nests its state deeper than a reader's stack.

Expect: unserialisable: nested too deeply
Held by: export
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        self.rows = []
        for _ in range(5000):
            self.rows = [self.rows]

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
