"""Canary: changes the mode of a file.

Expect: raised: PermissionError
Held by: seccomp
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os.chmod(target["folder"] + "/secret", 0o4777)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
