"""Canary: connects to a listener on this machine.

Expect: raised: PermissionError
Held by: seccomp, landlock from ABI 4
"""

import socket


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        with socket.create_connection(("127.0.0.1", target["port"]), timeout=1) as connection:
            connection.sendall(b"hello")

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
