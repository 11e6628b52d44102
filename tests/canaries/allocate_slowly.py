"""Canary: allocates bit by bit, keeping all of it.

Expect: memory: MiB
Held by: rlimits
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        rows = []
        while True:
            rows.append(bytearray(1 << 20))

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
