"""Canary: listens on a port.

Expect: raised: PermissionError
Held by: seccomp, landlock from ABI 4
"""

import socket


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        return listener.getsockname()[1]

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
