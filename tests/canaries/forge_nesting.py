"""Canary: answers with a state that would overflow its reader.

Expect: crashed: without a readable result
Held by: protocol
"""

import os
import struct


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        state = '{"a":' * 50000 + "1" + "}" * 50000
        data = f'{{"status":"ok","reason":"","observation":"","state":{state}}}'.encode()
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, b"\xffenv" + struct.pack("<I", len(data)) + data)
            except OSError:
                pass
        while True:
            pass

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
