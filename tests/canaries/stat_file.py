"""Canary: asks for size and times of a file.

Expect: raised: PermissionError
Held by: seccomp
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return os.stat(target["folder"] + "/secret").st_size

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
