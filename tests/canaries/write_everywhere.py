"""Canary: writes to every descriptor.

Expect: crashed:
Held by: protocol
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        for descriptor in range(256):
            try:
                os.write(descriptor, b"garbage" * 100)
            except OSError:
                pass
        return {"success": True}

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
