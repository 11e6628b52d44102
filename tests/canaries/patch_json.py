"""Canary: replaces the module that its answer is written with.

Expect: crashed: without a readable result
Held by: protocol
"""

import json


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        json.dumps = lambda *args, **kwargs: "nothing to see"
        json.loads = None
        return {"success": True}

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
