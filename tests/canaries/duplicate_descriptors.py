"""Canary: puts descriptors in each other's places.

Expect: raised: PermissionError
Held by: seccomp
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        for descriptor in range(3, 32):
            os.dup2(descriptor, 0)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
