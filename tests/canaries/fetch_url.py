"""Canary: fetches a page.

Expect: raised: URLError
Held by: seccomp, landlock from ABI 4
"""

import urllib.request


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        return urllib.request.urlopen(f"http://127.0.0.1:{target['port']}/", timeout=1).read()

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
