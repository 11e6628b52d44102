"""Mixtures: how many rows of each stratum a mixture asks for, and how many it can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from envsim_core.config import Mixture
from envsim_core.config.training import strata_in
from envsim_core.strata import STRATA


@dataclass(frozen=True, slots=True)
class Portion:
    """So many rows from these strata, in even parts as far as they reach; `name` is what the mixture calls them."""

    name: str
    strata: tuple[str, ...]
    rows: int
    rl: int = 0
    """Further rows for reinforcement learning alone."""


def portions(mixture: Mixture, available: Mapping[str, int]) -> list[Portion]:
    """What a mixture asks for, given how many rows of each stratum there are.

    Counts and shares ask for what they say, whether there is enough or not; proportions follow `available`.
    """
    if mixture.counts:
        return [Portion(name, strata_in(name), count) for name, count in mixture.counts.items() if count]
    if mixture.shares:
        rows = dict(zip(mixture.shares, divide(mixture.rows or 0, list(mixture.shares.values())), strict=True))
        return [Portion(name, strata_in(name), count) for name, count in rows.items() if count]
    strata = [stratum for name in mixture.only or STRATA for stratum in strata_in(name)]
    total = sum(available.get(stratum, 0) for stratum in strata)
    rows_in_all = total if mixture.rows is None else mixture.rows
    parts = divide(rows_in_all, [available.get(stratum, 0) for stratum in strata])
    return [Portion(stratum, (stratum,), count) for stratum, count in zip(strata, parts, strict=True) if count]


def with_rl(wanted: list[Portion], rows: int) -> list[Portion]:
    """The portions with `rows` further ones in their proportions."""
    parts = divide(rows, [item.rows for item in wanted])
    return [replace(item, rl=part) for item, part in zip(wanted, parts, strict=True)]


def divide(total: int, weights: list[float] | list[int]) -> list[int]:
    """`total` in whole numbers in proportion to `weights`; what rounding leaves goes to the largest remainders."""
    whole = sum(weights)
    if not whole:
        return [0 for _ in weights]
    exact = [total * weight / whole for weight in weights]
    parts = [int(value) for value in exact]
    order = sorted(range(len(exact)), key=lambda at: (parts[at] - exact[at], at))
    for at in order[: total - sum(parts)]:
        parts[at] += 1
    return parts


def spread(total: int, available: Mapping[str, int]) -> dict[str, int]:
    """`total` in parts as even as what is available allows; less than `total` where there is less in all."""
    parts = dict.fromkeys(available, 0)
    left = min(total, sum(available.values()))
    while left:
        open_ones = [name for name in parts if parts[name] < available[name]]
        each = max(1, left // len(open_ones))
        for name in open_ones:
            taken = min(each, available[name] - parts[name], left)
            parts[name] += taken
            left -= taken
    return parts
