"""Canary: moves itself to another root and folder.

Expect: raised: PermissionError
Held by: seccomp, privileges
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os.chroot(target["folder"])

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
