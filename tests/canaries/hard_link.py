"""Canary: gives a file a second name.

Expect: raised: PermissionError
Held by: landlock, seccomp
"""

import os


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        os.link(target["folder"] + "/secret", target["folder"] + "/second")

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
