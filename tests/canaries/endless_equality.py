"""Canary: puts an object into its state that is never done comparing.

Expect: unserialisable: type Endless
Held by: export
"""


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        class Endless(str):
            def __eq__(self, other):
                while True:
                    pass

            __hash__ = str.__hash__

        self.rows = {"key": Endless("x")}

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
