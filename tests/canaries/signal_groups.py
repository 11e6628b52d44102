"""Canary: sends a signal to its group and to everybody.

Expect: raised: PermissionError
Held by: seccomp
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        for group in (0, -1, -target["server"]):
            os.kill(group, 0)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
