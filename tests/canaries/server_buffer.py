"""Canary: touches the memory that calls pass through.

Expect: crashed: killed by SIGSEGV
Held by: MADV_DONTFORK
"""

import sys


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        frame = sys._getframe()
        while type(frame.f_locals.get("self")).__name__ != "Server":
            frame = frame.f_back
        return str(bytes(frame.f_locals["self"].answer[:64]))

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
