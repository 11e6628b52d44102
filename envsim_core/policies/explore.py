"""Policy `explore`: seeded calls without any LLM, drawn from tool schemas and the live state, steered by need.

Tools that led to strata which are still rare in this environment are drawn more often. Arguments come from the state
wherever their name says where to look; now and then one is made wrong on purpose.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from random import Random

from envsim_core.executor import Outcome
from envsim_core.policies import Setting
from envsim_core.policies.arguments import Arguments
from envsim_core.policies.experience import Experience, Feature, features
from envsim_core.records import Action, Environment, JsonObject, Scenario
from envsim_core.strata import FAILURE, OUTSIDE, STRATA

WRONG_SHARE = 0.12  # of the calls get one argument that cannot be right
FAILURE_SHARE = 0.2  # of the calls fail by themselves: then few are made wrong on purpose
CURIOSITY = 0.05  # keeps every tool in play, whatever it led to so far
UNPROVEN = 0.5  # what a tool that hardly ever worked is worth: what it leads to is not known yet
PROVEN = 3  # successes, after which what a tool leads to is known
PATIENCE = 60  # calls, after which a tool that hardly ever worked is taken to be one that cannot
LOST = {"timeout", "memory", "crashed"}
MAX_LOST = 3  # a tool that was killed thus often is not called again: each such call costs seconds
# How many samples a benchmark wants of each stratum, in proportion: the published quotas.
WANTED = dict(zip(STRATA, (20, 40, 40, 25, 25, 50, 50, 50, 50, 50), strict=True)) | {OUTSIDE: 0}


def create(environment: Environment, setting: Setting) -> Explore:
    """A policy for one environment."""
    return Explore(environment)


class Explore:
    """Draws calls for one environment and counts which strata its tools lead to."""

    def __init__(self, environment: Environment) -> None:
        self._tools = environment.tools
        self._led_to: dict[str, Counter[str]] = defaultdict(Counter)
        self._reached: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._worked: Counter[str] = Counter()
        self._experience = Experience()
        self._chosen: list[tuple[str, list[Feature]]] = []

    def begin(self, scenario: Scenario, task_id: str, number: int, steps: int) -> int:
        """Every trajectory has as many calls as the configuration says."""
        return steps

    def choose(self, rng: Random, state: JsonObject) -> Action | None:
        """A tool by need, with arguments from the state; None when every tool was given up."""
        worth = [self._worth(tool.name) for tool in self._tools]
        if not any(worth):
            return None
        tool = rng.choices(self._tools, worth)[0]
        drawing = Arguments(rng, state, partial(self._experience.weight, tool.name))
        enough = self._reached[FAILURE] > self._reached.total() * FAILURE_SHARE
        wrong = rng.random() < (WRONG_SHARE / 4 if enough else WRONG_SHARE)
        arguments = drawing.draw(tool.parameters, wrong)
        self._chosen = [] if wrong else [(parameter, list(features(record))) for parameter, record in drawing.chosen]
        return Action(name=tool.name, arguments=arguments)

    def learn(self, action: Action, outcome: Outcome, stratum: str | None) -> None:
        """Count what the call led to; a call that could not be executed counts against its tool."""
        self._led_to[action.name][stratum or OUTSIDE] += 1
        self._lost[action.name] += outcome.status in LOST
        worked = stratum not in (None, FAILURE, OUTSIDE)
        self._worked[action.name] += worked
        self._experience.note(action.name, self._chosen, worked)
        if stratum:
            self._reached[stratum] += 1

    def end(self, first: JsonObject, last: JsonObject) -> str:
        """Every trajectory is kept."""
        return ""

    def _worth(self, tool: str) -> float:
        """The chance that a call of this tool lands in each stratum, weighted by how much that stratum is needed."""
        if self._lost[tool] >= MAX_LOST:
            return 0.0
        seen = self._led_to[tool]
        calls = seen.total()
        if calls < 3:
            return 1.0
        if self._worked[tool] < PROVEN and calls < PATIENCE:
            return UNPROVEN
        need = {stratum: WANTED[stratum] / (1 + self._reached[stratum]) for stratum in seen}
        most = max(WANTED[stratum] / (1 + self._reached[stratum]) for stratum in STRATA)
        return CURIOSITY + sum(count / calls * need[stratum] for stratum, count in seen.items()) / most
