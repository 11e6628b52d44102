"""Splits: environments held out for testing, and what leaks from training into the test all the same."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random

from envsim_core.records import Environment, JsonObject, Sample
from envsim_core.similarity import alike_states, class_key, sketch_state, tool_keys

TRAIN, TEST = "train", "test"
TRIES = 200  # draws of held-out environments, of which the most balanced is taken
MAX_LISTED = 100  # offending pairs of a kind that are listed; all are counted


@dataclass(frozen=True, slots=True)
class Placed:
    """What a split needs to know of a sample."""

    sample_id: str
    env_id: str
    task_id: str
    stratum: str
    code_hash: str
    state: array[int]


def place(sample: Sample) -> Placed:
    """The sample without its states, of which a sketch remains."""
    return Placed(
        sample.sample_id,
        sample.env_id,
        sample.task_id,
        sample.stratum,
        sample.code_hash,
        sketch_state(sample.state_before),
    )


@dataclass(frozen=True, slots=True)
class Split:
    """The side of every environment; `together` says what was kept on one side by construction."""

    sides: dict[str, str]
    together: tuple[str, ...]


def hold_out(
    samples: list[Placed], environments: Mapping[str, Environment], share: float, similarity: float, seed: int
) -> Split:
    """Hold out whole environments with about `share` of the samples, every stratum on both sides where that can be.

    Environments that share a class, a tool's code or nearly equal states stay together; should that leave nothing to
    divide, only those that share a class do. `environments` are keyed by code hash.
    """
    everything = ("class_code", "tool_code", "states")
    for together in (everything, everything[:1]):
        groups = _groups(samples, environments, similarity, together)
        sizes = Counter(group_of for sample in samples for group_of in (groups[sample.env_id],))
        if len(sizes) > 1 and max(sizes.values()) <= (1 - share / 2) * len(samples):
            break
    total = Counter(sample.stratum for sample in samples)
    per_group: dict[str, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        per_group[groups[sample.env_id]][sample.stratum] += 1

    best: tuple[float, list[str]] = (float("inf"), list(per_group))
    for number in range(TRIES):
        held: list[str] = []
        inside: Counter[str] = Counter()
        order = sorted(per_group)
        Random(f"{seed}/split/{number}").shuffle(order)
        for group in order:
            # the last one may overshoot by less than it would fall short
            if inside.total() + per_group[group].total() / 2 <= share * len(samples) and len(held) + 1 < len(order):
                held.append(group)
                inside += per_group[group]
        missing = sum(inside[name] == 0 or inside[name] == total[name] for name in total)
        uneven = sum(abs(inside[name] - share * total[name]) for name in total) / max(1, len(samples))
        if held and missing + uneven < best[0]:
            best = (missing + uneven, held)
    sides = {env_id: TEST if group in best[1] else TRAIN for env_id, group in groups.items()}
    return Split(dict(sorted(sides.items())), together)


def leakage(
    samples: list[Placed], environments: Mapping[str, Environment], similarity: float, side: Callable[[Placed], str]
) -> JsonObject:
    """What both sides of a split have in common: counts, the first offending pairs, and the test samples affected."""
    where: dict[str, set[str]] = {TRAIN: set(), TEST: set()}
    classes: dict[str, set[tuple[str, str]]] = {TRAIN: set(), TEST: set()}
    tools: dict[str, set[tuple[str, str]]] = {TRAIN: set(), TEST: set()}
    affected: dict[str, set[str]] = defaultdict(set)
    tests = [sample for sample in samples if side(sample) == TEST]
    for sample in samples:
        at = side(sample)
        where[at].add(sample.env_id)
        classes[at].add((_class(sample, environments), sample.env_id))
        tools[at] |= {(key, f"{sample.env_id}.{tool}") for tool, key in _tools(sample, environments).items()}
    both = where[TRAIN] & where[TEST]
    class_pairs, tool_pairs = _pairs(classes), _pairs(tools)
    shared_classes = {key for key, _ in classes[TRAIN]} & {key for key, _ in classes[TEST]}
    shared_tools = {key for key, _ in tools[TRAIN]} & {key for key, _ in tools[TEST]}
    for sample in tests:
        if sample.env_id in both:
            affected["environment"].add(sample.sample_id)
        if _class(sample, environments) in shared_classes:
            affected["class_code"].add(sample.sample_id)
        if shared_tools & set(_tools(sample, environments).values()):
            affected["tool_code"].add(sample.sample_id)
    sides = {sample.sample_id: side(sample) for sample in samples}
    states = {sample.sample_id: sample.state for sample in samples}
    state_pairs = []
    for one, other, index in alike_states(states, similarity):
        if sides[one] != sides[other]:
            train, test = (one, other) if sides[one] == TRAIN else (other, one)
            state_pairs.append([train, test, round(index, 4)])
            affected["states"].add(test)
    found: dict[str, list[list[object]]] = {
        "environment": [[env_id, env_id] for env_id in sorted(both)],
        "class_code": class_pairs,
        "tool_code": tool_pairs,
        "states": sorted(state_pairs),
    }
    return {
        "train": len(samples) - len(tests),
        "test": len(tests),
        **{
            kind: {
                "pairs": len(pairs),
                "test_samples": len(affected[kind]),
                "listed": pairs[:MAX_LISTED],
            }
            for kind, pairs in found.items()
        },
    }


def by_task(samples: list[Placed], share: float, seed: int) -> Callable[[Placed], str]:
    """The split of the same size that divides tasks instead of environments, to show what holding out is for."""
    tasks = sorted({(sample.env_id, sample.task_id) for sample in samples})
    Random(f"{seed}/split by task").shuffle(tasks)
    held = set(tasks[: round(share * len(tasks))])
    return lambda sample: TEST if (sample.env_id, sample.task_id) in held else TRAIN


def _groups(
    samples: list[Placed], environments: Mapping[str, Environment], similarity: float, together: Iterable[str]
) -> dict[str, str]:
    """Per env_id, the first env_id of those that stay on its side."""
    parent = {sample.env_id: sample.env_id for sample in samples}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    def join(one: str, other: str) -> None:
        first, second = sorted((root(one), root(other)))
        parent[second] = first

    owner: dict[str, str] = {}
    for code_hash, env_id in sorted({(sample.code_hash, sample.env_id) for sample in samples}):
        sample = next(item for item in samples if item.code_hash == code_hash and item.env_id == env_id)
        keys = [_class(sample, environments)]
        if "tool_code" in together:
            keys += sorted(set(_tools(sample, environments).values()))
        for key in keys:
            join(owner.setdefault(key, env_id), env_id)
    if "states" in together:
        named = {sample.sample_id: sample.env_id for sample in samples}
        for one, other, _ in alike_states({sample.sample_id: sample.state for sample in samples}, similarity):
            join(named[one], named[other])
    return {env_id: root(env_id) for env_id in sorted(parent)}


def _class(sample: Placed, environments: Mapping[str, Environment]) -> str:
    environment = environments.get(sample.code_hash)
    return class_key(environment.code) if environment is not None else sample.code_hash


def _tools(sample: Placed, environments: Mapping[str, Environment]) -> dict[str, str]:
    """The keys of the public methods."""
    environment = environments.get(sample.code_hash)
    if environment is None:
        return {}
    keys = tool_keys(environment.code, environment.class_name)
    return {name: key for name, key in keys.items() if not name.startswith("_")}


def _pairs(found: Mapping[str, set[tuple[str, str]]]) -> list[list[object]]:
    train: dict[str, list[str]] = defaultdict(list)
    for key, name in found[TRAIN]:
        train[key].append(name)
    return sorted([one, other] for key, other in found[TEST] for one in train.get(key, []))
