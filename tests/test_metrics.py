"""Metrics: what is counted, what is left out, and how a number is written."""

from __future__ import annotations

import csv
from importlib import resources
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envsim_core.metrics import METRICS, Rate, change_bucket, published_rates, rates, wilson

VERDICT = {
    "outcome": "scored",
    "config_match": True,
    "feedback_match": True,
    "feedback_verbatim": True,
    "config_match_masked": True,
    "collateral": 0,
    "silent_corruption": False,
    "config_match_published_hosted": True,
    "feedback_match_published_hosted": True,
    "config_match_published_own": True,
    "feedback_match_published_own": True,
}
FAILED: dict[str, Any] = {**dict.fromkeys(VERDICT), "outcome": "failed"}


def counted(rows: list[dict[str, Any]], metric: str, level: str = "overall", key: str = "all") -> dict[str, Any]:
    schema = dict.fromkeys(VERDICT, pl.Boolean) | {
        "outcome": pl.String,
        "collateral": pl.Int64,
        "stratum": pl.String,
    }
    table = pl.DataFrame([{"stratum": "a", **row} for row in rows], schema=schema)
    found = rates(table, {"stratum": ["a", "b"]}).filter(level=level, key=key, metric=metric)
    return found.to_dicts()[0]


def test_a_number_carries_its_interval_and_n() -> None:
    assert str(Rate(164, 400)) == "41.0 % [36.3, 45.9], n = 400"


def test_the_published_overall_scores_have_the_intervals_that_the_literature_gives() -> None:
    assert str(Rate(181, 400)) == "45.3 % [40.4, 50.1], n = 400"
    assert str(Rate(169, 400)) == "42.3 % [37.5, 47.1], n = 400"


def test_nothing_of_nothing_has_no_percentage() -> None:
    assert str(Rate(0, 0)) == "n = 0"
    assert Rate(0, 0).rate is None and Rate(0, 0).interval is None


def test_certain_ends_are_exact() -> None:
    assert wilson(0, 50)[0] == 0.0 and wilson(50, 50)[1] == 1.0
    assert str(Rate(50, 50)) == "100.0 % [92.9, 100.0], n = 50"


def test_an_interval_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 of 0"):
        wilson(0, 0)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_share_and_mirrors(pair: tuple[int, int]) -> None:
    successes, n = pair
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    assert wilson(n - successes, n) == pytest.approx((1 - high, 1 - low))


def test_more_confidence_means_a_wider_interval() -> None:
    assert wilson(40, 100, 0.99)[0] < wilson(40, 100, 0.95)[0] < wilson(40, 100, 0.5)[0]


def test_failed_rows_are_out_of_the_denominator_and_counted() -> None:
    row = counted([VERDICT, FAILED, FAILED], "config_match")
    assert (row["samples"], row["failed"], row["dropped"], row["successes"], row["n"]) == (3, 2, 0, 1, 1)


def test_unparsed_and_refused_rows_are_in_the_denominator() -> None:
    wrong = {**VERDICT, "config_match": False}
    row = counted([VERDICT, {**wrong, "outcome": "unparsed"}, {**wrong, "outcome": "refused"}], "config_match")
    assert (row["successes"], row["n"]) == (1, 3)


def test_rows_that_the_published_harness_drops_are_counted_as_dropped() -> None:
    row = counted([VERDICT, {**VERDICT, "config_match_published_own": None}, FAILED], "config_match_published_own")
    assert (row["samples"], row["failed"], row["dropped"], row["n"]) == (3, 1, 1, 1)


def test_a_model_whose_every_request_failed_has_n_0_and_no_nan() -> None:
    row = counted([FAILED, FAILED], "feedback_match")
    assert (row["n"], row["rate"], row["low"], row["high"]) == (0, None, None, None)


def test_collateral_counts_samples_and_not_changes() -> None:
    assert counted([{**VERDICT, "collateral": 7}, VERDICT], "collateral")["successes"] == 1


def test_a_part_without_samples_is_a_row_with_n_0() -> None:
    assert counted([VERDICT], "config_match", "stratum", "b")["n"] == 0


def test_a_part_that_is_not_listed_is_an_error() -> None:
    with pytest.raises(ValueError, match="'c' is none of a, b"):
        counted([{**VERDICT, "stratum": "c"}], "config_match")


def test_a_table_without_published_columns_still_has_the_others() -> None:
    table = pl.DataFrame([VERDICT]).select(pl.exclude("^.*_published_.*$"))
    found = set(rates(table, {})["metric"])
    assert found == {name for name in METRICS if "published" not in name}


@pytest.mark.parametrize(("count", "bucket"), [(0, "0"), (6, "6"), (7, "7-12"), (12, "7-12"), (13, "13+")])
def test_change_counts_are_pooled_as_published(count: int, bucket: str) -> None:
    assert change_bucket(count) == bucket


def test_published_percentages_are_whole_samples_and_add_up_to_the_published_overall() -> None:
    text = (resources.files("envsim_core") / "data" / "published_overall.csv").read_text()
    overall = {row["model"]: row["overall_config_match_pct"] for row in csv.DictReader(text.splitlines())}
    found = published_rates().filter(level="overall", metric="config_match")
    assert {row["model"]: Rate(row["successes"], row["n"]).percent for row in found.to_dicts()} == {
        model: f"{percent} %" for model, percent in overall.items()
    }
    text = (resources.files("envsim_core") / "data" / "published_by_change_count.csv").read_text()
    by_count = published_rates().filter(level="bucket")
    for row in csv.DictReader(text.splitlines()):
        for metric in ("config_match", "feedback_match"):
            part = by_count.filter(model=row["model"], key=row["change_count"], metric=metric)
            if row[f"{metric}_pct"]:
                assert part["rate"].item() * 100 == pytest.approx(float(row[f"{metric}_pct"]))
            else:
                assert part.height == 0


def test_a_published_metric_with_gaps_has_no_overall_figure() -> None:
    found = published_rates().filter(level="overall", model="Full-Balance2-4B")
    assert found["metric"].to_list() == ["config_match"]
