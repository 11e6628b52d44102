"""Canary: leaves dead children behind.

Expect: raised: PermissionError
Held by: seccomp, rlimits
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        for _ in range(10000):
            if os.fork() == 0:
                os._exit(0)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
