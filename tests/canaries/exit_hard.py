"""Canary: leaves without a word.

Expect: crashed: exited with status 0
Held by: protocol
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os._exit(0)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
