"""Canary: maps memory that can be executed.

Expect: raised: PermissionError
Held by: seccomp
"""

import mmap


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return len(mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
