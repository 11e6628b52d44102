"""Canary: reads what /proc tells about processes.

Expect: raised: PermissionError
Held by: landlock, seccomp
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return [open(f"/proc/{who}/environ").read() for who in ("self", 1)]

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
