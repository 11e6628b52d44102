"""Canary: asks for the module that calls C.

Expect: raised: ModuleNotFoundError
Held by: closed imports
"""


def load(name):
    return __import__(name)


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return load("ctypes").CDLL(None).getpid()

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
