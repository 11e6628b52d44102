"""Canary: stops the process that the run is.

Expect: raised: PermissionError
Held by: seccomp, landlock from ABI 6
"""

import os
import signal


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os.kill(target["caller"], signal.SIGSTOP)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
