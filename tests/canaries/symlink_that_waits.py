"""Canary: follows a symbolic link that lies there already.

Expect: raised: PermissionError
Held by: landlock, seccomp
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return open(target["folder"] + "/link").read()

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
