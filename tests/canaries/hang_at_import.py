"""Canary: never finishes being imported.

Expect: timeout: CPU time
Held by: rlimits, wall clock
"""

while True:
    pass
