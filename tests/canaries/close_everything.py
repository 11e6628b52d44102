"""Canary: closes every descriptor.

Expect: crashed:
Held by: protocol
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os.closerange(0, 256)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
