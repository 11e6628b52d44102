"""Canary: kills the process that forked it.

Expect: raised: PermissionError
Held by: seccomp
"""

import os
import signal


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os.kill(target["server"], signal.SIGKILL)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
