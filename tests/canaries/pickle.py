"""Canary: has a pickle run a command.

Expect: raised: RuntimeError: no shell
Held by: seccomp, rlimits
"""

import os
import pickle


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        class Command:
            def __reduce__(self):
                return os.system, (f"echo > {target['folder']}/new",)

        if pickle.loads(pickle.dumps(Command())) != 0:
            raise RuntimeError("no shell")

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
