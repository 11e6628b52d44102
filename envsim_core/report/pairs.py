"""Pairs: the comparisons of a report's models, as one plain JSON-able object and in the words of its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import polars as pl

from envsim_core import comparisons, metrics

MINUS = "−"

# With more models a page shows each beside the next one only; the files have every pair.
MOST_MODELS = 10


@dataclass(frozen=True)
class Pairs:
    """`data` is comparisons.json, `table` comparisons.parquet: a row per pair of models and metric."""

    data: dict[str, Any]
    table: pl.DataFrame


def build_pairs(tables: Mapping[str, pl.DataFrame], confidence: float = metrics.CONFIDENCE) -> Pairs:
    """Compare the models of `tables`, which are in leaderboard order and hold the same samples in the same order."""
    found = comparisons.compare(tables, confidence)
    data = {
        "confidence": confidence,
        "power": comparisons.POWER,
        "replicates": comparisons.REPLICATES,
        "seed": comparisons.SEED,
        "correction": "Holm, over all pairs of a metric",
        "pairs": found.to_dicts(),
        "rates": [
            {"model": model, "metric": metric, **interval}
            for model, table in tables.items()
            for metric, interval in comparisons.clustered_rates(table, confidence).items()
        ],
    }
    return Pairs(data, found)


def shown_pairs(data: Mapping[str, Any], metric: str, models: Sequence[str]) -> list[dict[str, str]]:
    """The pairs of a metric as texts for a table; beyond MOST_MODELS models neighbours of the leaderboard alone."""
    neighbours = set(pairwise(models))
    rows = [row for row in data["pairs"] if row["metric"] == metric]
    if len(models) > MOST_MODELS:
        rows = [row for row in rows if (row["first"], row["second"]) in neighbours]
    return [_texts(row) for row in rows]


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    names = {"first": row["first"], "second": row["second"], "n": str(row["n"]), "verdict": row["verdict"]}
    if not row["n"]:
        blank = dict.fromkeys(("difference", "bounds", "only", "p", "detectable"), "")
        return {**names, **blank, "reason": row["reason"]}
    return {
        **names,
        "difference": _points(row["difference"]),
        "bounds": f"[{_points(row['low'])}, {_points(row['high'])}]",
        "only": f"{row['only_first']} : {row['only_second']}",
        "p": p_text(row["p_holm"]),
        "detectable": f"{100 * row['minimum_detectable']:.1f}",
        "reason": row["reason"],
    }


def _points(share: float) -> str:
    """A difference in percentage points with its sign, `+3.0` or `−3.0`."""
    text = f"{100 * share:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def p_text(p: float) -> str:
    """A p-value to three decimals, small ones as a bound."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def shown_rates(data: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Per model and metric the interval that resamples environments, in percent, or the empty text."""
    return {
        (row["model"], row["metric"]): f"[{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
        if row["low"] is not None
        else ""
        for row in data["rates"]
    }
