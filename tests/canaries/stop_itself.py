"""Canary: stops itself, so that it cannot be waited for.

Expect: timeout: wall-clock
Held by: wall clock
"""

import os
import signal


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os.kill(os.getpid(), signal.SIGSTOP)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
