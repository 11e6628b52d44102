"""Canary: appends to a file.

Expect: raised: PermissionError
Held by: landlock, seccomp
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        open(target["folder"] + "/secret", "a").write("x")

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
