"""Canary: makes a channel for processes to come.

Expect: raised: PermissionError
Held by: seccomp
"""

import socket


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        left, right = socket.socketpair()
        return left.fileno()

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
