"""Canary: starts a pool of processes.

Expect: raised:
Held by: seccomp, rlimits
"""

import multiprocessing
import multiprocessing.pool


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return multiprocessing.Pool(4).map(abs, [1])

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
