"""Collect: environments in, executed tool calls (transitions) out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Literal

from envsim_core._core import diff
from envsim_core.config import Config
from envsim_core.errors import BadFile
from envsim_core.executor import Executor, Outcome
from envsim_core.executor.freeze import World
from envsim_core.policies import Policy, Setting, Unanswered, load_policy
from envsim_core.records import GENERATOR, Action, Environment, JsonObject, Transition, read_rows, write_rows
from envsim_core.records import World as WorldRow
from envsim_core.sources import load_source
from envsim_core.strata import stratum_of

VERSION = "3"
START = Action(name="__init__", arguments={})  # stands in the row of an environment that could not be started
MAX_FAILED_STARTS = 3  # an environment that cannot be started thus often is given up


def collect_environments(environments: Path, config: Config) -> int:
    """Read the configured source into `environments` (Environment rows) and return their number.

    An environment without a working scenario keeps its row; `collect_transitions` records what happens to it.
    """
    return write_rows(environments, load_source(config.collect.source).load_environments(config.collect, config.seed))


def collect_transitions(environments: Path, shard: int, transitions: Path, config: Config) -> int:
    """Explore every `shards`-th environment from the `shard`-th on; one Transition row per call, failures included.

    Trajectories of one environment follow each other, because the policy learns from them; environments know nothing
    of each other, so the rows do not depend on the number of shards.
    """
    if not 0 <= shard < config.collect.shards:
        raise ValueError(f"shard {shard} is not one of the {config.collect.shards} shards, which count from 0")

    setting = Setting(config.collect, config.models_file, transitions.parent.parent / "agent")

    def rows() -> Iterator[Transition]:
        for number, environment in enumerate(read_rows(environments, Environment)):
            if number % config.collect.shards == shard:
                yield from _reported(environment, explore_environment(environment, config, setting))

    return write_rows(transitions, rows())


def merge_transitions(environments: Path, shards: list[Path], transitions: Path) -> int:
    """Put the rows of all shards into one file, in the order of the environments.

    Raises BadFile when a shard holds an environment that `environments` lacks, or lacks one that it holds.
    """
    order = [row.env_id for row in read_rows(environments, Environment)]
    streams = [_by_environment(path) for path in shards]
    heads = [next(stream, None) for stream in streams]

    def rows() -> Iterator[Transition]:
        for env_id in order:
            place = next((i for i, head in enumerate(heads) if head is not None and head[0] == env_id), None)
            if place is None:
                raise BadFile(environments, None, env_id, "no shard explored it; run collect-transitions again")
            head = heads[place]
            assert head is not None  # chosen for it
            yield from head[1]
            heads[place] = next(streams[place], None)
        for path, head in zip(shards, heads, strict=True):
            if head is not None:
                raise BadFile(path, None, head[0], f"is not an environment of {environments}")

    return write_rows(transitions, rows())


def explore_environment(environment: Environment, config: Config, setting: Setting) -> Iterator[Transition]:
    """All trajectories of one environment; it is given up when it cannot even be started."""
    settings = config.collect
    if not environment.scenarios:
        outcome = Outcome("raised", "no scenario: the log of collect-environments says why")
        yield _row(environment, f"{environment.env_id}-none", 0, START, {}, outcome, None)
        return
    policy = load_policy(settings.policy).create(environment, setting)
    failed_starts = 0
    world = World(seed=str(config.seed))
    with Executor(environment.runnable, environment.class_name, settings.limits, world) as executor:
        for number in range(settings.trajectories):
            for scenario in environment.scenarios:
                task_id = f"{scenario.task_id}.{number}"
                steps = policy.begin(scenario, task_id, number, settings.steps)
                if not steps:
                    continue
                first = executor.reset(scenario.init_config)
                if first.state_after is None:
                    yield _row(environment, task_id, 0, START, scenario.init_config, first, executor)
                    failed_starts += 1
                    if failed_starts == MAX_FAILED_STARTS:
                        return
                    continue
                rng = Random(f"{config.seed}/{environment.env_id}/{task_id}")
                yield from _trajectory(environment, task_id, first.state_after, steps, rng, policy, executor)


def _trajectory(
    environment: Environment,
    task_id: str,
    first: JsonObject,
    steps: int,
    rng: Random,
    policy: Policy,
    executor: Executor,
) -> list[Transition]:
    """The rows of one trajectory; one row that says why when the policy cannot go on or does not want it kept."""
    rows: list[Transition] = []
    state = first
    try:
        for step in range(1, steps + 1):
            action = policy.choose(rng, state)
            if action is None:
                break
            outcome = executor.run(state, action)
            row = _row(environment, task_id, step, action, state, outcome, executor)
            if outcome.state_after is None or outcome.observation is None:
                rows.append(row)
                policy.learn(action, outcome, None)
                continue  # the call came to nothing; the trajectory goes on from where it was
            paths = [change.path for change in diff(state, outcome.state_after)]
            rows.append(row.model_copy(update={"hidden": hidden_state(paths)}))
            policy.learn(action, outcome, stratum_of(action.arguments, outcome.observation, len(paths)))
            state = outcome.state_after
        refused = policy.end(first, state)
    except Unanswered as error:
        reason = f"{error}; {len(rows)} calls were made before"
        return [_row(environment, task_id, 0, START, first, Outcome("raised"), None, ("unanswered", reason))]
    if refused:
        reason = f"{refused}; {len(rows)} calls"
        return [_row(environment, task_id, 0, START, first, Outcome("raised"), None, ("left_out", reason))]
    return rows


def _row(
    environment: Environment,
    task_id: str,
    step: int,
    action: Action,
    state: JsonObject,
    outcome: Outcome,
    executor: Executor | None,
    ending: tuple[Literal["unanswered", "left_out"], str] | None = None,
) -> Transition:
    """`executor`: the one that was asked, or None where none was."""
    world = executor.world if executor is not None else None
    return Transition(
        transition_id=f"{task_id}.{step}",
        env_id=environment.env_id,
        code_hash=environment.code_hash,
        task_id=task_id,
        step=step,
        action=action,
        status=ending[0] if ending else outcome.status,
        reason=ending[1] if ending else outcome.reason,
        observation=outcome.observation,
        state_before=state,
        state_after=outcome.state_after,
        world=WorldRow(seed=world.seed, now=world.now, hash_seed=world.hash_seed) if world is not None else None,
        isolation=executor.isolation() if executor is not None else [],
    )


def hidden_state(changed: Iterable[list[str]]) -> list[list[str | int]]:
    """Where a random generator stands that a call has drawn from: nobody computes its next number in their head."""
    found = {tuple(path[: path.index(GENERATOR)]) for path in changed if GENERATOR in path}
    return [list(path) for path in sorted(found)]


def _reported(environment: Environment, rows: Iterable[Transition]) -> Iterator[Transition]:
    """Pass the rows on and say on standard error what became of them."""
    counts: Counter[str] = Counter()
    failures: dict[tuple[str, str], list[Transition]] = {}
    for row in rows:
        counts[row.status] += 1
        if row.status != "ok":
            failures.setdefault((row.action.name, row.status), []).append(row)
        yield row
    summary = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    print(f"{environment.env_id}: {counts.total()} calls: {summary}", file=sys.stderr, flush=True)
    for (tool, status), found in failures.items():
        rows_of_it = f"{len(found)} rows, first {found[0].transition_id}: {found[0].reason}"
        print(f"{environment.env_id}.{tool} {status} in {rows_of_it}", file=sys.stderr, flush=True)


def _by_environment(path: Path) -> Iterator[tuple[str, Iterator[Transition]]]:
    return groupby(read_rows(path, Transition), key=lambda row: row.env_id)
