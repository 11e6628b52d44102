"""Canary: sends a datagram.

Expect: raised: PermissionError
Held by: seccomp
"""

import socket


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", target["port"]))

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
