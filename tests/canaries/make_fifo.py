"""Canary: makes a named pipe.

Expect: raised: PermissionError
Held by: landlock, seccomp
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os.mkfifo(target["folder"] + "/fifo")

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
