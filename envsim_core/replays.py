"""Replays: one call in several worlds and twice in one process, to see what its outcome depends on.

Every call is replayed where it was recorded and in three worlds that differ in clock, seed and hash order at once. What
moves there is replayed with one of them changed at a time, so that the cause has a name. A last replay (probe.py) runs
the call twice in one process, from the same JSON state, and looks at what a state does not show.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envsim_core.config import Limits
from envsim_core.executor import Executor, Outcome
from envsim_core.executor.freeze import World
from envsim_core.records import Action, Environment, JsonObject, Volatile, canonical_json
from envsim_core.volatility import COMBINED, HIDDEN, ID, ORDER, RANDOM, TIME, differences, seed_kind, told_by

PROBE = (Path(__file__).parent / "executor" / "probe.py").read_text(encoding="utf-8")
# Before and after every date that a state is likely to hold, and unlike 09:00 on a Monday in each of their fields.
CLOCKS = ("2031-11-23T20:47:33.123456Z", "1999-02-13T03:14:15.265358Z", "2067-08-05T23:59:58.979323Z")
OTHERS = range(len(CLOCKS))  # three: a set of two texts keeps its order under one other hash seed in half of all cases


@dataclass(frozen=True, slots=True)
class Call:
    """A recorded call, as far as it can be replayed."""

    state: JsonObject
    action: Action


@dataclass(slots=True)
class Finding:
    """What the replays of one call showed. `outcome` is the one of the world that it was recorded in."""

    outcome: Outcome
    moved: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    observation: set[str] = field(default_factory=set)
    hidden: list[str] = field(default_factory=list)
    unexamined: str = ""

    def volatile(self) -> list[Volatile]:
        """The paths that move, in order, with their kinds."""
        return [Volatile(path=json.loads(path), kinds=named_kinds(kinds)) for path, kinds in sorted(self.moved.items())]

    def add(self, other: Outcome, kind: str) -> None:
        """Note where `other`, the outcome in another world, differs; kind "" asks whether it is an id."""
        state, after = self.outcome.state_after, other.state_after
        if state is None or after is None:
            self.moved["[]"].add(kind or RANDOM)
            return
        for path, one, two in told_by(differences(state, after)):
            self.moved[canonical_json(path)].add(kind or seed_kind(path, one, two))
        if self.outcome.observation != other.observation:
            self.observation.add(kind or seed_kind([], self.outcome.observation, other.observation))


def replay(environment: Environment, calls: Sequence[Call], world: World, limits: Limits) -> list[Finding]:
    """One Finding per call, in order. All calls share `environment` and the `world` that they were recorded in."""
    findings = [Finding(outcome) for outcome in _run(environment, calls, world, limits)]
    good = [place for place, finding in enumerate(findings) if finding.outcome.state_after is not None]
    others = [
        world.replace(seed=f"{world.seed}/{number + 1}", now=now, hash_seed=(world.hash_seed + number + 1) % 2**32)
        for number, now in enumerate(CLOCKS)
    ]
    suspects: dict[int, Finding] = {}
    for other in others:
        for place, outcome in zip(good, _run(environment, [calls[i] for i in good], other, limits), strict=True):
            seen = suspects.setdefault(place, Finding(findings[place].outcome))
            seen.add(outcome, COMBINED)
    moving = [place for place in good if suspects[place].moved or suspects[place].observation]
    for other in others if moving else []:
        for kind, single in (
            (TIME, world.replace(now=other.now)),
            ("", world.replace(seed=other.seed)),
            (ORDER, world.replace(hash_seed=other.hash_seed)),
        ):
            outcomes = _run(environment, [calls[i] for i in moving], single, limits)
            for place, outcome in zip(moving, outcomes, strict=True):
                findings[place].add(outcome, kind)
    for place in moving:
        for path in suspects[place].moved:
            if path not in findings[place].moved:
                findings[place].moved[path].add(COMBINED)
        if suspects[place].observation and not findings[place].observation:
            findings[place].observation.add(COMBINED)
    _probe(environment, [(findings[i], calls[i]) for i in good], world, limits)
    return findings


def named_kinds(kinds: set[str]) -> list[str]:
    """An identifier may look like any other text under one of the seeds: what it is under another decides."""
    return sorted(kinds - {RANDOM} if ID in kinds else kinds)


def _run(environment: Environment, calls: Sequence[Call], world: World, limits: Limits) -> list[Outcome]:
    with Executor(environment.runnable, environment.class_name, limits, world) as executor:
        return list(executor.run_many((call.state, call.action) for call in calls))


def _probe(environment: Environment, found: Iterable[tuple[Finding, Call]], world: World, limits: Limits) -> None:
    """Run every call twice in one process. The answer is the environment's own: it is read as a claim, not trusted."""
    pairs = list(found)
    requests: list[tuple[JsonObject, Action]] = [
        (
            {},
            Action(
                name="probe",
                arguments={
                    "class_name": environment.class_name,
                    "state": call.state,
                    "name": call.action.name,
                    "arguments": call.action.arguments,
                },
            ),
        )
        for _, call in pairs
    ]
    with Executor(f"{environment.runnable}\n\n{PROBE}", "EnvsimProbe", limits, world) as executor:
        for (finding, _), outcome in zip(pairs, executor.run_many(requests), strict=True):
            if outcome.observation is None:
                finding.unexamined = f"{outcome.status}: {outcome.reason}"
                continue
            try:
                told = json.loads(outcome.observation)
                first, second = told["states"]
                changed, said = [str(name) for name in told["changed"]], told["observations"]
                moved = differences(first, second)
                words = said[0] != said[1]
            except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
                finding.unexamined = f"unreadable: {type(error).__name__}"
                continue
            _read_probe(finding, changed, moved, words)


def _read_probe(
    finding: Finding, changed: list[str], moved: list[tuple[list[str | int], Any, Any]], words: bool
) -> None:
    after = finding.outcome.state_after or {}
    finding.hidden = sorted(name for name in set(changed) if name.removeprefix("attribute ") not in after)
    # in one process random numbers go on too: what moves with the seed says nothing about what was left behind
    if finding.moved or finding.observation:
        return
    for path, _, _ in moved:
        finding.moved[canonical_json(path)].add(HIDDEN)
    if words:
        finding.observation.add(HIDDEN)
