"""Checks: whether a final state is what a task asked for. Their code is untrusted: it runs in the executor."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from envsim_core.config import Limits
from envsim_core.executor import Executor
from envsim_core.records import Action, Check, JsonObject

# What the code of a check runs in: it finds `initial_state` as a global, and has to define `check_func(final_state)`.
RUNNER = """
class Runner:
    def holds(self, code, initial_state, final_state):
        names = {"__name__": "check", "initial_state": initial_state}
        exec(code, names)
        answer = names["check_func"](final_state)
        if answer is not True and answer is not False:
            raise TypeError(f"check_func returned {type(answer).__name__}, not True or False")
        return answer
"""


class Checker:
    """Runs checks, each in a process of its own; a context manager."""

    def __init__(self, limits: Limits) -> None:
        self._executor = Executor(RUNNER, "Runner", limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.close()

    def holds(self, check: Check, initial_state: JsonObject, final_state: JsonObject) -> tuple[bool | None, str]:
        """Whether `final_state` passes the check; None with the reason when the check itself cannot be run."""
        arguments = {"code": check.code, "initial_state": initial_state, "final_state": final_state}
        outcome = self._executor.run({}, Action(name="holds", arguments=arguments))
        if outcome.status != "ok":
            return None, f"{outcome.status}: {outcome.reason}"
        return outcome.observation == "True", ""
