"""Canary: runs before everybody else.

Expect: raised: PermissionError
Held by: seccomp, privileges
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os.setpriority(os.PRIO_PROCESS, 0, -20)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
