"""Canary: closes its pipes before its request has come.

Expect: crashed: in the middle of the call
Held by: protocol
"""

import os

os.closerange(3, 64)
