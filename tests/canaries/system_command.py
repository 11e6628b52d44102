"""Canary: has the C library run a command.

Expect: raised: RuntimeError: no shell
Held by: seccomp, rlimits
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        if os.system(f"echo > {target['folder']}/new") != 0:
            raise RuntimeError("no shell")

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
