"""Canary: has a Python file imported as a module.

Expect: raised: ModuleNotFoundError
Held by: closed imports, landlock, seccomp
"""

import sys


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        sys.path.insert(0, target["folder"])
        import loot

        return loot.SECRET

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
