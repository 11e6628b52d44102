"""Stratify: transitions in, a frozen benchmark and its composition out."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from envsim_core._core import diff
from envsim_core.config import Config
from envsim_core.errors import EnvSimError
from envsim_core.executor.freeze import World as FrozenWorld
from envsim_core.records import (
    Environment,
    JsonObject,
    Sample,
    Transition,
    World,
    content_hash,
    read_rows,
    write_json,
    write_rows,
)
from envsim_core.sources.published import read_published
from envsim_core.strata import GROUP_OF, OUTSIDE, STRATA, stratum_of

VERSION = "2"
TOLD_IDS = 8  # more than any one call is likely to draw


class ShortStratum(EnvSimError):
    """`strict_quotas` is set and a stratum has fewer transitions than it asks for."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the draw needs to know of a transition; its states stay in the file."""

    place: int
    env_id: str
    tool: str
    content: str


@dataclass(frozen=True, slots=True)
class Pool:
    """The transitions that can be drawn, per stratum, and how many cannot be, by reason."""

    strata: dict[str, list[Candidate]]
    outside: int
    duplicates: int
    not_executed: Counter[str]


def stratify_transitions(
    environments: Path, transitions: Path, benchmark: Path, composition: Path, config: Config
) -> JsonObject:
    """Draw the quotas from `transitions` into `benchmark` (Sample rows, by stratum) and describe it in `composition`.

    Equal inputs and seed give equal bytes. A stratum that is short is named on standard error and in the composition;
    ShortStratum is raised instead when `strict_quotas` is set, or when there is no sample at all.
    """
    quotas = config.stratify.quotas.model_dump()
    seed = config.seed if config.stratify.seed is None else config.stratify.seed
    domains = {row.env_id: row.domain for row in read_rows(environments, Environment)}
    pool = read_pool(transitions)
    drawn = draw(pool.strata, quotas, seed)
    short = [(name, quotas[name], len(pool.strata[name])) for name in STRATA if len(pool.strata[name]) < quotas[name]]
    told = "; ".join(f"{name} has {available} of {asked}" for name, asked, available in short)
    if short and (config.stratify.strict_quotas or not any(drawn.values())):
        raise ShortStratum(f"{transitions}: too few transitions: {told}; collect more steps or scenarios")
    if short:
        print(f"warning: {transitions}: too few transitions: {told}; the benchmark has fewer samples", file=sys.stderr)
    samples = write_rows(benchmark, _samples(transitions, drawn, domains, config.stratify.clock))
    spread = {name: Counter(item.env_id for item in drawn[name]) for name in STRATA}
    described: JsonObject = {
        "version": VERSION,
        "seed": seed,
        "samples": samples,
        "strata": {
            name: {
                "asked": quotas[name],
                "drawn": len(drawn[name]),
                "available": len(pool.strata[name]),
                "environments": len(spread[name]),
                "tools": len({(item.env_id, item.tool) for item in drawn[name]}),
            }
            for name in STRATA
        },
        "environments": {
            env_id: {name: spread[name][env_id] for name in STRATA if spread[name][env_id]}
            for env_id in sorted(domains)
        },
        "left_out": {"outside": pool.outside, "duplicates": pool.duplicates, **dict(sorted(pool.not_executed.items()))},
    }
    write_json(composition, described)
    return described


def read_pool(transitions: Path) -> Pool:
    """Sort the executed transitions into strata, equal ones (code, state, action) once."""
    strata: dict[str, list[Candidate]] = {name: [] for name in (*STRATA, OUTSIDE)}
    seen: set[str] = set()
    duplicates, not_executed = 0, Counter[str]()
    for place, row in enumerate(read_rows(transitions, Transition)):
        if row.state_after is None or row.observation is None:
            not_executed[row.status] += 1
            continue
        content = content_hash([row.code_hash, row.state_before, row.action.model_dump()])
        if content in seen:
            duplicates += 1
            continue
        seen.add(content)
        change_count = len(diff(row.state_before, row.state_after))
        stratum = stratum_of(row.action.arguments, row.observation, change_count)
        strata[stratum].append(Candidate(place, row.env_id, row.action.name, content))
    outside = len(strata.pop(OUTSIDE))
    return Pool(strata, outside, duplicates, not_executed)


def draw(pool: dict[str, list[Candidate]], quotas: dict[str, int], seed: int) -> dict[str, list[Candidate]]:
    """Draw each stratum's quota; an environment that has no sample yet comes first, then the least used one.

    The scarcest stratum draws first, so that an environment that is rare there is not spent elsewhere.
    """
    used: Counter[str] = Counter()
    used_tools: Counter[tuple[str, str]] = Counter()
    drawn: dict[str, list[Candidate]] = {name: [] for name in pool}
    for name in sorted(pool, key=lambda name: (len({item.env_id for item in pool[name]}), len(pool[name]), name)):
        rng = Random(f"{seed}/{name}")
        waiting: dict[str, dict[str, list[Candidate]]] = defaultdict(lambda: defaultdict(list))
        for item in rng.sample(pool[name], len(pool[name])):
            waiting[item.env_id][item.tool].append(item)
        here: Counter[str] = Counter()
        tools_here: Counter[tuple[str, str]] = Counter()
        for _ in range(min(quotas[name], len(pool[name]))):
            env_id = min(waiting, key=lambda env: (used[env] > 0, here[env], used[env]))
            tools = waiting[env_id]
            tool = min(tools, key=lambda tool: (tools_here[env_id, tool], used_tools[env_id, tool]))
            drawn[name].append(tools[tool].pop())
            for counts in (used, here):
                counts[env_id] += 1
            for tool_counts in (used_tools, tools_here):
                tool_counts[env_id, tool] += 1
            if not tools[tool]:
                del tools[tool]
            if not tools:
                del waiting[env_id]
    return drawn


def _samples(
    transitions: Path, drawn: dict[str, list[Candidate]], domains: dict[str, str], clock: str
) -> Iterator[Sample]:
    """The drawn transitions as samples, by stratum and sample_id."""
    chosen = {item.place: (name, item) for name, items in drawn.items() for item in items}
    samples: dict[str, list[Sample]] = {name: [] for name in STRATA}
    for place, row in enumerate(read_rows(transitions, Transition)):
        if place not in chosen or row.state_after is None or row.observation is None:
            continue
        stratum, item = chosen[place]
        samples[stratum].append(
            Sample(
                sample_id=f"{stratum}-{row.env_id}-{row.action.name}-{item.content[:8]}",
                env_id=row.env_id,
                domain=domains.get(row.env_id, ""),
                task_id=row.task_id,
                step=row.step,
                stratum=stratum,
                change_count=len(diff(row.state_before, row.state_after)),
                code_hash=row.code_hash,
                action=row.action,
                observation=row.observation,
                state_before=row.state_before,
                state_after=row.state_after,
                world=_told(row, clock),
            )
        )
    for name in STRATA:
        yield from sorted(samples[name], key=lambda sample: sample.sample_id)


def _told(row: Transition, clock: str) -> World | None:
    """The sample's world; with `in_prompt` it tells the ids that the call would draw first."""
    if row.world is None or clock == "frozen":
        return row.world
    world = FrozenWorld(row.world.seed, row.world.now, row.world.hash_seed)
    call = world.for_call(row.state_before, row.action.name, row.action.arguments)
    return row.world.model_copy(update={"next_ids": call.next_ids(TOLD_IDS)})


def import_benchmark(source: Path, environments: Path, benchmark: Path, composition: Path) -> JsonObject:
    """Write a published benchmark file as `environments`, `benchmark` and `composition`, sample by sample.

    Raises BadFile naming file, row and field at the first row that cannot be used.
    """
    found: dict[str, Environment] = {}
    counts: Counter[str] = Counter()

    def samples() -> Iterator[Sample]:
        for row in read_published(source):
            if row.warning:
                print(f"warning: {source}: {row.warning}", file=sys.stderr)
            found.setdefault(row.environment.code_hash, row.environment)
            counts[row.sample.stratum] += 1
            yield row.sample

    total = write_rows(benchmark, samples())
    write_rows(environments, found.values())
    described: JsonObject = {
        "version": VERSION,
        "source": source.name,
        "samples": total,
        "strata": {
            name: {"asked": counts[name], "drawn": counts[name], "available": counts[name]} for name in GROUP_OF
        },
    }
    write_json(composition, described)
    return described
