"""Canary: moves to a session of its own.

Expect: raised: PermissionError
Held by: seccomp
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os.setsid()

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
