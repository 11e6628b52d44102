"""Canary: ignores what can be ignored, and computes.

Expect: timeout: CPU time
Held by: rlimits, wall clock
"""

import signal


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        while True:
            pass

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
