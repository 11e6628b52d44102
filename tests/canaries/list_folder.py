"""Canary: lists a folder.

Expect: raised: PermissionError
Held by: landlock, seccomp
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return os.listdir(target["folder"])

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
