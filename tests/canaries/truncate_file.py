"""Canary: cuts a file to nothing.

Expect: raised: PermissionError
Held by: seccomp, landlock from ABI 3
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os.truncate(target["folder"] + "/secret", 0)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
