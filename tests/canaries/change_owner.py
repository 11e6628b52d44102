"""Canary: changes the owner of a file.

Expect: raised: PermissionError
Held by: seccomp
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os.chown(target["folder"] + "/secret", 65534, 65534)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
