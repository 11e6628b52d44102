"""Canary: leaves hooks everywhere, and fails.

Expect: raised: RuntimeError: hooked
Held by: fork per call
"""

import atexit
import builtins
import os
import sys


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        sys.settrace(lambda *args: None)
        sys.setprofile(lambda *args: None)
        sys.excepthook = sys.unraisablehook = lambda *args: os._exit(9)
        atexit.register(os._exit, 9)
        builtins.print = None
        raise RuntimeError("hooked")

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
