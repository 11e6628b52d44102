"""Canary: returns an object whose text never ends.

Expect: unserialisable: type Endless
Held by: export
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        class Endless(dict):
            def __repr__(self):
                while True:
                    pass

            __str__ = __repr__

        return Endless()

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
