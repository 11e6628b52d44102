"""Doctor: which layers of isolation this machine has, and whether they hold when environment code tries to get out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from envsim_core.executor import WORKER, Executor
from envsim_core.executor.layers import REMEDIES
from envsim_core.records import Action

ATTEMPTS = {
    "read a file": "files",
    "open a socket": "network",
    "start a process": "processes",
    "signal another process": "signals",
}
CODE = """
import os, socket


class Attempts:
    def files(self, path, process):
        return open(path).readline()

    def network(self, path, process):
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).fileno()

    def processes(self, path, process):
        if os.fork() == 0:
            os._exit(0)

    def signals(self, path, process):
        os.kill(process, 0)
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table: a layer, or something that environment code tried."""

    name: str
    good: bool
    reason: str
    remedy: str


def examine(without: Iterable[str] = ()) -> tuple[list[Finding], list[Finding]]:
    """(layers, attempts). An attempt is good when it failed: then environment code cannot do that here."""
    with Executor(CODE, "Attempts", without=without) as executor:
        layers = [Finding(name, not why, why, REMEDIES[name] if why else "") for name, why in executor.layers().items()]
        attempts = []
        for name, tool in ATTEMPTS.items():
            outcome = executor.run({}, Action(name=tool, arguments={"path": str(WORKER), "process": os.getpid()}))
            held = outcome.status != "ok"
            remedy = "" if held else "add a missing layer, or run environments that you trust only"
            attempts.append(Finding(name, held, outcome.reason.partition(" (line")[0], remedy))
    return layers, attempts
