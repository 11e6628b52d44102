"""Canary: forks twice into a session of its own and sleeps there.

Expect: raised: PermissionError
Held by: seccomp, rlimits
"""

import os
import signal


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.pause()
            os._exit(0)
        return {"success": True}

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
