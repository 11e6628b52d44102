"""Canary: reads the memory of the process that forked it.

Expect: raised: PermissionError
Held by: landlock, seccomp
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        with open(f"/proc/{target['server']}/mem", "rb") as memory:
            return str(memory.read(1))

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
