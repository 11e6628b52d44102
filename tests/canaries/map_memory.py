"""Canary: maps more memory than it may have.

Expect: raised: Cannot allocate memory
Held by: rlimits
"""

import mmap


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return len(mmap.mmap(-1, 1 << 40))

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
