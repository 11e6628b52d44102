"""Canary: forks for ever.

Expect: raised: PermissionError
Held by: seccomp, rlimits
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        while True:
            os.fork()

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
