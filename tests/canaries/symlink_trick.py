"""Canary: reads through a symbolic link of its own making.

Expect: raised: PermissionError
Held by: landlock, seccomp
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os.symlink("/etc/passwd", target["folder"] + "/link")
        return open(target["folder"] + "/link").read()

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
