"""Canary: gives itself more than it has.

Expect: raised:
Held by: seccomp, rlimits
"""

import resource


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
