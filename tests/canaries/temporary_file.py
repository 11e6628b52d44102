"""Canary: keeps something in a temporary file.

Expect: raised: No usable temporary directory
Held by: landlock, seccomp
"""

import tempfile


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return tempfile.mkstemp(dir=None)[1]

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
