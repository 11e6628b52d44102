"""Canary: answers with a status that is no text.

Expect: crashed: without a readable result
Held by: protocol
"""

import json


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        json.dumps = lambda *args, **kwargs: '{"status": ["ok"], "reason": {}, "observation": 1, "state": []}'
        return {"success": True}

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
