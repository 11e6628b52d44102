"""Canary: looks for the requests of earlier calls in the server's frames.

Expect: raised: RuntimeError: none
Held by: fork per call
"""

import sys


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        frame, found = sys._getframe().f_back, []
        while frame:
            found += [text for text in map(repr, frame.f_locals.values()) if "earlier" + "-secret" in text]
            frame = frame.f_back
        raise RuntimeError(f"{len(found)} found" if found else "none")

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
