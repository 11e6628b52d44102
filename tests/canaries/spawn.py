"""Canary: spawns a program without forking first.

Expect: raised: PermissionError
Held by: seccomp, rlimits
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return os.posix_spawn("/bin/sh", ["sh", "-c", f"echo > {target['folder']}/new"], {})

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
