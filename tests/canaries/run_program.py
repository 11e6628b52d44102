"""Canary: runs a program.

Expect: raised: PermissionError
Held by: seccomp, rlimits
"""

import subprocess


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return subprocess.run(["/bin/sh", "-c", f"echo > {target['folder']}/new"], check=True).returncode

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
