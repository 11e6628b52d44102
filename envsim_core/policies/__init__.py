"""Policies: who chooses the tool calls of a trajectory. One module each, imported when the configuration names it."""

from __future__ import annotations

import importlib
import pkgutil
from random import Random
from typing import Protocol, cast

from envsim_core.errors import UnknownName
from envsim_core.executor import Status
from envsim_core.records import Action, Environment, JsonObject


class Policy(Protocol):
    """What a policy does in one environment, over all its trajectories."""

    def choose(self, rng: Random, state: JsonObject) -> Action | None:
        """The next call in `state`, or None to end the trajectory; every draw is made from `rng`."""

    def learn(self, action: Action, status: Status, stratum: str | None) -> None:
        """What came of the call: its status and, when that is `ok`, its stratum."""


class PolicyModule(Protocol):
    """What a module of this package offers."""

    def create(self, environment: Environment) -> Policy:
        """A policy for one environment that knows nothing yet."""


def load_policy(name: str) -> PolicyModule:
    """Import the policy called `name`. Raises UnknownName when there is none."""
    known = [module.name for module in pkgutil.iter_modules(__path__)]
    if name not in known:
        raise UnknownName("policy", name, known)
    return cast(PolicyModule, importlib.import_module(f"{__name__}.{name}"))
