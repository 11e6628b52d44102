"""Canary: waits for what never comes.

Expect: timeout: wall-clock
Held by: wall clock
"""

import signal


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        signal.pause()

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
