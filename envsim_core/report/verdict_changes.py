"""Verdict changes: two verdict tables of the same samples in, the samples that are judged differently out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from envsim_core.errors import BadFile

# What a verdict says; where a sample belongs and how its answer was found is not part of it.
JUDGED = (
    "outcome",
    "failure",
    "config_match",
    "feedback_match",
    "feedback_verbatim",
    "config_match_masked",
    "changed_precision",
    "changed_recall",
    "changed_f1",
    "collateral",
    "silent_corruption",
    "ambiguous_path",
    "config_match_published_hosted",
    "feedback_match_published_hosted",
    "config_match_published_own",
    "feedback_match_published_own",
)


@dataclass(frozen=True)
class VerdictChanges:
    """`changed` has a row per sample and column that differs (sample_id, column, before, after as text)."""

    samples: int
    changed: pl.DataFrame
    only_before: list[str]
    only_after: list[str]
    not_compared: list[str]

    @property
    def same(self) -> bool:
        """Whether both tables judge the same samples alike."""
        return not (self.changed.height or self.only_before or self.only_after or self.not_compared)

    def counts(self) -> list[tuple[str, str, str, int]]:
        """(column, before, after, samples) in the order of JUDGED, most frequent first."""
        counted = self.changed.group_by("column", "before", "after").agg(pl.len().alias("samples"))
        rows: list[tuple[str, str, str, int]] = counted.rows()
        return sorted(rows, key=lambda row: (JUDGED.index(row[0]), -row[3], row[1:3]))


def verdict_changes(before: Path, after: Path) -> VerdictChanges:
    """Compare two verdicts.parquet by sample_id.

    Columns that only one table has are named in `not_compared`. Raises BadFile when a file is no verdict table or
    names a sample twice.
    """
    old, new = (_read(path) for path in (before, after))
    both = [name for name in JUDGED if name in old.columns and name in new.columns]
    joined = old.join(new, on="sample_id", suffix=":after", maintain_order="left")
    changed = [
        joined.with_row_index("row")
        .filter(pl.col(name).ne_missing(pl.col(f"{name}:after")))
        .select(
            "row",
            "sample_id",
            pl.lit(name).alias("column"),
            _text(name).alias("before"),
            _text(f"{name}:after").alias("after"),
        )
        for name in both
    ]
    # stable: within a sample the columns stay in the order of JUDGED
    rows = pl.concat(changed).sort("row", maintain_order=True).drop("row")
    return VerdictChanges(
        samples=joined.height,
        changed=rows,
        only_before=old.join(new, on="sample_id", how="anti", maintain_order="left")["sample_id"].to_list(),
        only_after=new.join(old, on="sample_id", how="anti", maintain_order="left")["sample_id"].to_list(),
        not_compared=[name for name in JUDGED if (name in old.columns) != (name in new.columns)],
    )


def _text(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).fill_null("null")


def _read(path: Path) -> pl.DataFrame:
    needed = ("sample_id", *JUDGED[:4])
    try:
        found: Sequence[str] = list(pl.read_parquet_schema(path))
        if missing := [name for name in needed if name not in found]:
            raise BadFile(path, None, missing[0], "is missing; this is no verdicts.parquet")
        table = pl.read_parquet(path, columns=[name for name in found if name in ("sample_id", *JUDGED)])
        texts = table.with_columns(pl.col("sample_id", "outcome", "failure").cast(pl.String))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadFile(path, None, None, f"cannot be read as Parquet: {str(error).splitlines()[0]}") from error
    if texts["sample_id"].n_unique() != texts.height:
        twice = texts.filter(pl.col("sample_id").is_duplicated())["sample_id"][0]
        raise BadFile(path, None, "sample_id", f'"{twice}" has more than one verdict; score this model again')
    return texts


def scorer_of(verdicts: Path) -> str:
    """The versions that wrote a verdict table, from the summary.json beside it; says so where there is none."""
    summary = verdicts.with_name("summary.json")
    if not summary.exists():
        return "unknown scorer: no summary.json beside it"
    try:
        versions: Any = json.loads(summary.read_text(encoding="utf-8"))["versions"]
        return ", ".join(f"{name.replace('_', ' ')} {version}" for name, version in versions.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFile(summary, None, "versions", f"cannot be read ({error!r}); score this model again") from error
