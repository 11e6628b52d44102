"""Canary: leaves while it is imported.

Expect: crashed: exited with status 7
Held by: protocol
"""

import os

os._exit(7)
