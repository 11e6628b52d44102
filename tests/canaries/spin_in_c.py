"""Canary: computes for ever where no signal handler of Python gets a turn.

Expect: timeout: CPU time
Held by: rlimits, wall clock
"""

import re


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return re.match("(a*)*b", "a" * 64)

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
