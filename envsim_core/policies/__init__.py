"""Policies: who chooses the tool calls of a trajectory. One module each, imported when the configuration names it."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol, cast

from envsim_core.config import Collect
from envsim_core.errors import EnvSimError, UnknownName
from envsim_core.executor import Outcome
from envsim_core.records import Action, Environment, JsonObject, Scenario


@dataclass(frozen=True, slots=True)
class Setting:
    """What a policy may know of the run: its configuration, the model entries, and the folder for what it keeps."""

    collect: Collect
    models_file: str
    folder: Path


class Unanswered(EnvSimError):
    """A policy that could not say what comes next: the trajectory becomes a row with this reason."""


class Policy(Protocol):
    """What a policy does in one environment, over all its trajectories."""

    def begin(self, scenario: Scenario, task_id: str, number: int, steps: int) -> int:
        """The `number`-th trajectory of a scenario starts; how many calls it may have, where `steps` are asked for."""

    def choose(self, rng: Random, state: JsonObject) -> Action | None:
        """The next call in `state`, or None to end the trajectory; every draw is made from `rng`.

        Raises Unanswered when whoever chooses cannot be asked.
        """

    def learn(self, action: Action, outcome: Outcome, stratum: str | None) -> None:
        """What came of the call: its outcome and, when that is `ok`, its stratum."""

    def end(self, first: JsonObject, last: JsonObject) -> str:
        """The trajectory is over, with its first and last state; why it is to be left out, "" to keep it."""


class PolicyModule(Protocol):
    """What a module of this package offers."""

    def create(self, environment: Environment, setting: Setting) -> Policy:
        """A policy for one environment that knows nothing yet."""


def load_policy(name: str) -> PolicyModule:
    """Import the policy called `name`. Raises UnknownName when there is none."""
    found = {module.name for module in pkgutil.iter_modules(__path__)}
    module = importlib.import_module(f"{__name__}.{name}") if name in found else None
    if not hasattr(module, "create"):
        every = {one: importlib.import_module(f"{__name__}.{one}") for one in found}
        raise UnknownName("policy", name, [one for one, other in every.items() if hasattr(other, "create")])
    return cast(PolicyModule, module)
