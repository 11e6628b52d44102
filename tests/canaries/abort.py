"""Canary: aborts.

Expect: crashed: killed by SIGABRT
Held by: protocol
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os.abort()

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
