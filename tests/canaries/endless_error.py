"""Canary: raises an error whose text never ends.

Expect: timeout: CPU time
Held by: rlimits, wall clock
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        class Endless(Exception):
            def __str__(self):
                while True:
                    pass

        raise Endless

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
