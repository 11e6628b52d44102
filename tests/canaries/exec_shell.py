"""Canary: turns into a shell.

Expect: raised: PermissionError
Held by: landlock, seccomp
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os.execv("/bin/sh", ["sh", "-c", f"echo > {target['folder']}/new"])

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
