"""Canary: leaves a thread that goes on.

Expect: raised: can't start new thread
Held by: seccomp, rlimits
"""

import threading


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()
        return {"success": True}

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
