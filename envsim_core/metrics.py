"""Metrics: verdict tables in, rates with their n and interval out; the published figures as rates too."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from statistics import NormalDist
from typing import Any

import polars as pl

CONFIDENCE = 0.95

# |Δ| as the published benchmark pools it; "13+" only appears when a benchmark has such samples.
BUCKETS = ("0", "1", "2", "3", "4", "5", "6", "7-12", "13+")

# Samples behind each published percentage, by |Δ|. They reproduce the published overall scores.
PUBLISHED_N = {"0": 100, "1": 25, "2": 25, "3": 50, "4": 50, "5": 50, "6": 50, "7-12": 50}

# What is counted, each a nullable boolean per sample: null leaves the denominator and is reported as `dropped`.
METRICS: dict[str, pl.Expr] = {
    "config_match": pl.col("config_match"),
    "feedback_match": pl.col("feedback_match"),
    "feedback_verbatim": pl.col("feedback_verbatim"),
    "config_match_masked": pl.col("config_match_masked"),
    "collateral": pl.col("collateral") > 0,
    "silent_corruption": pl.col("silent_corruption"),
    "config_match_published_hosted": pl.col("config_match_published_hosted"),
    "feedback_match_published_hosted": pl.col("feedback_match_published_hosted"),
    "config_match_published_own": pl.col("config_match_published_own"),
    "feedback_match_published_own": pl.col("feedback_match_published_own"),
}

RATE_SCHEMA: dict[str, Any] = {
    "level": pl.String,
    "key": pl.String,
    "metric": pl.String,
    "samples": pl.Int64,
    "failed": pl.Int64,
    "dropped": pl.Int64,
    "successes": pl.Int64,
    "n": pl.Int64,
    "rate": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "confidence": pl.Float64,
}


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The two-sided Wilson score interval of a proportion, as fractions.

    Raises ValueError unless 0 <= successes <= n and n > 0.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"no interval for {successes} of {n}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, z2 = successes / n, z * z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # At the ends the bound is exact; the formula misses it by a rounding error.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return low, high


@dataclass(frozen=True, slots=True)
class Rate:
    """`successes` of `n`: a share in 0..1 with its Wilson interval, both None where n = 0."""

    successes: int
    n: int
    confidence: float = CONFIDENCE

    @property
    def rate(self) -> float | None:
        return self.successes / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return wilson(self.successes, self.n, self.confidence) if self.n else None

    @property
    def percent(self) -> str:
        """`41.0 %`, halves rounded up as the published tables do, or the empty text where n = 0."""
        if not self.n:
            return ""
        tenths = (2000 * self.successes + self.n) // (2 * self.n)
        return f"{tenths // 10}.{tenths % 10} %"

    @property
    def bounds(self) -> str:
        """`[36.3, 45.9]` in percent, or the empty text where n = 0."""
        interval = self.interval
        return f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else ""

    def __str__(self) -> str:
        return f"{self.percent} {self.bounds}, n = {self.n}" if self.n else "n = 0"


def change_bucket(change_count: int) -> str:
    """The column of the published tables that a |Δ| belongs to."""
    if change_count < 7:
        return str(change_count)
    return "7-12" if change_count <= 12 else "13+"


def rate_of(row: Mapping[str, Any]) -> Rate:
    """The rate in one row of a table made by `rates` or `published_rates`."""
    return Rate(row["successes"], row["n"], row["confidence"])


def rates(table: pl.DataFrame, keys: Mapping[str, Sequence[str]], confidence: float = CONFIDENCE) -> pl.DataFrame:
    """Count every metric of METRICS at every level, with n and interval.

    `table` has one row per sample: `outcome`, the verdict columns, and one column per level of `keys` naming the
    part that the sample belongs to. `keys` lists the parts of each level in order; a part without samples gives rows
    with n = 0. Samples whose outcome is `failed` are counted in `failed` and left out of n; of the others those
    without a value are counted in `dropped`, so samples = failed + dropped + n. The level `overall` (key `all`)
    comes first. A metric whose column is not in the table is left out.
    """
    present = {name: expr for name, expr in METRICS.items() if set(expr.meta.root_names()) <= set(table.columns)}
    answered = pl.col("outcome") != "failed"
    counts = [pl.len().alias("samples"), (~answered).sum().alias("failed")]
    for name, expr in present.items():
        value = expr.cast(pl.Boolean).filter(answered)
        counts += [value.sum().alias(f"{name}:successes"), value.count().alias(f"{name}:n")]
    rows: list[dict[str, Any]] = []
    for level, parts in {"overall": ("all",), **keys}.items():
        part = pl.lit("all") if level == "overall" else pl.col(level)
        found = {row["key"]: row for row in table.group_by(part.alias("key")).agg(counts).iter_rows(named=True)}
        if unknown := sorted(set(found) - set(parts)):
            raise ValueError(f"{level} {unknown[0]!r} is none of {', '.join(parts)}")
        for key in parts:
            rows += _count_rows(level, key, found.get(key), list(present), confidence)
    return pl.DataFrame(rows, schema=RATE_SCHEMA)


def _count_rows(
    level: str, key: str, found: Mapping[str, Any] | None, names: Sequence[str], confidence: float
) -> Iterator[dict[str, Any]]:
    samples, failed = (found["samples"], found["failed"]) if found else (0, 0)
    for name in names:
        successes, n = (found[f"{name}:successes"], found[f"{name}:n"]) if found else (0, 0)
        where = {"level": level, "key": key, "metric": name, "samples": samples, "failed": failed}
        yield {**where, "dropped": samples - failed - n, **rate_columns(Rate(successes, n, confidence))}


def rate_columns(rate: Rate) -> dict[str, int | float | None]:
    """A rate as the columns `successes`, `n`, `rate`, `low`, `high`, `confidence`."""
    low, high = rate.interval or (None, None)
    counted = {"successes": rate.successes, "n": rate.n, "rate": rate.rate}
    return {**counted, "low": low, "high": high, "confidence": rate.confidence}


def value_counts(table: pl.DataFrame, column: str) -> dict[str, int]:
    """How many samples have each value of `column`, by value."""
    counted = table.group_by(pl.col(column).alias("value")).agg(pl.len().alias("samples")).sort("value")
    return dict(counted.iter_rows())


def published_rates(confidence: float = CONFIDENCE) -> pl.DataFrame:
    """The published figures in the shape of `rates`, with `model`: levels `overall` and `bucket`.

    Percentages become the whole number of samples that they stand for (PUBLISHED_N); a figure that was not published
    has no row, and a model with such a gap has no overall row for that metric.
    """
    source = resources.files("envsim_core") / "data" / "published_by_change_count.csv"
    table = pl.read_csv(source.read_bytes(), schema_overrides={"change_count": pl.String})
    rows: list[dict[str, Any]] = []
    for (model,), part in table.group_by(["model"], maintain_order=True):
        for metric in ("config_match", "feedback_match"):
            found = {
                bucket: Rate(round(percent * PUBLISHED_N[bucket] / 100), PUBLISHED_N[bucket], confidence)
                for bucket, percent in part.select("change_count", f"{metric}_pct").iter_rows()
                if percent is not None
            }
            if found.keys() == PUBLISHED_N.keys():
                total = Rate(sum(rate.successes for rate in found.values()), sum(PUBLISHED_N.values()), confidence)
                rows.append(_published_row(model, "overall", "all", metric, total))
            rows += [_published_row(model, "bucket", bucket, metric, rate) for bucket, rate in found.items()]
    return pl.DataFrame(rows, schema={"model": pl.String, **RATE_SCHEMA})


def _published_row(model: str, level: str, key: str, metric: str, rate: Rate) -> dict[str, Any]:
    where = {"model": model, "level": level, "key": key, "metric": metric, "samples": rate.n, "failed": 0, "dropped": 0}
    return {**where, **rate_columns(rate)}
