"""Comparisons: what is told apart and what is not, against brute force, and always the same for the same verdicts."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envsim_core import comparisons
from envsim_core.comparisons import (
    DISTINGUISHABLE,
    NOT_DISTINGUISHABLE,
    clustered_interval,
    compare,
    holm,
    mcnemar,
    minimum_detectable,
    permutation,
)


def verdicts(right: Sequence[bool | None], environments: int = 25) -> pl.DataFrame:
    """Verdicts of one model, samples dealt to the environments in turn; None: the request failed."""
    return pl.DataFrame(
        {
            "env_id": [f"environment-{index % environments}" for index in range(len(right))],
            "outcome": ["failed" if value is None else "scored" for value in right],
            "config_match": right,
            "feedback_match": right,
        },
        schema_overrides={"config_match": pl.Boolean, "feedback_match": pl.Boolean},
    )


def config_row(**models: pl.DataFrame) -> dict[str, Any]:
    return compare(models).filter(metric="config_match").to_dicts()[0]


def apart(by: int, overlap: str) -> tuple[list[bool], list[bool]]:
    """Two models on 400 samples, the second right on `by` more of them."""
    first = [index < 180 for index in range(400)]
    second = [index < 180 + by for index in range(400)]
    Random("first").shuffle(first)
    # nested: the same samples and some more; independent: other samples altogether
    Random("first" if overlap == "nested" else "second").shuffle(second)
    return first, second


@pytest.mark.parametrize("overlap", ["independent", "nested"])
@pytest.mark.parametrize(("by", "verdict"), [(12, NOT_DISTINGUISHABLE), (60, DISTINGUISHABLE)])
@pytest.mark.parametrize("environments", [3, 25, 191])
def test_12_of_400_samples_are_not_told_apart_and_60_are(
    by: int, verdict: str, overlap: str, environments: int
) -> None:
    first, second = apart(by, overlap)
    row = config_row(first=verdicts(first, environments), second=verdicts(second, environments))
    assert (row["difference"], row["n"]) == (-by / 400, 400)
    assert row["only_second"] - row["only_first"] == by
    assert row["low"] < row["difference"] < row["high"]
    assert row["verdict"] == verdict, row
    assert row["resampled"] == ("sample" if environments == 3 else "environment")


def test_a_lead_inside_two_environments_is_not_a_lead_in_general() -> None:
    first = verdicts([True] * 400)
    second = verdicts([index % 25 > 1 or index > 398 for index in range(400)])
    row = config_row(first=first, second=second)
    assert row["p_mcnemar"] < 1e-6 and row["p_permutation"] == 0.5
    assert row["verdict"] == NOT_DISTINGUISHABLE and row["reason"] == "chance can explain the difference"


def test_a_model_equals_itself() -> None:
    first, _ = apart(12, "nested")
    row = config_row(first=verdicts(first), again=verdicts(first))
    assert (row["difference"], row["low"], row["high"], row["p_holm"]) == (0, 0, 0, 1)
    assert row["reason"] == "the same samples are right"


def test_samples_that_one_model_did_not_answer_are_left_out_of_the_pair() -> None:
    first, second = [True, True, False, None] * 10, [False, None, True, True] * 10
    row = config_row(first=verdicts(first), second=verdicts(second))
    assert (row["n"], row["only_first"], row["only_second"]) == (20, 10, 10)


def test_a_model_that_never_answered_is_told_apart_from_none() -> None:
    row = config_row(first=verdicts([True] * 40), down=verdicts([None] * 40))
    assert (row["n"], row["difference"], row["p"], row["p_holm"]) == (0, None, None, None)
    assert row["verdict"] == NOT_DISTINGUISHABLE and row["reason"] == "no sample was answered by both"


def test_every_pair_is_there_once_and_one_model_gives_none() -> None:
    tables = {name: verdicts([True, False] * 20) for name in "abcd"}
    found = compare(tables).filter(metric="feedback_match").select("first", "second").rows()
    assert found == list(itertools.combinations("abcd", 2))
    assert compare({"a": tables["a"]}).height == 0


def test_more_pairs_need_stronger_evidence() -> None:
    first, second = apart(42, "independent")
    pair = {"first": verdicts(first), "second": verdicts(second)}
    alone = config_row(**pair)
    among = config_row(**pair, **{f"other{index}": verdicts(first) for index in range(6)})
    assert alone["p"] == alone["p_holm"] == among["p"] < among["p_holm"]


def test_holm_gives_the_textbook_values() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("first", "second", "p"), [(0, 0, 1), (12, 0, 2 / 4096), (5, 5, 1), (1, 5, 0.21875), (110, 50, 2.396e-6)]
)
def test_mcnemar_gives_the_binomial_tail(first: int, second: int, p: float) -> None:
    assert mcnemar(first, second) == mcnemar(second, first) == pytest.approx(p, rel=0.01)


def test_mcnemar_for_many_pairs_joins_the_exact_one(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = mcnemar(530, 470)
    monkeypatch.setattr(comparisons, "EXACT_PAIRS", 0)
    assert mcnemar(530, 470) == pytest.approx(exact, rel=0.01)
    assert mcnemar(30_000, 30_000) == 1.0 and mcnemar(40_000, 30_000) < 1e-300


@given(st.lists(st.integers(-6, 6), max_size=9))
def test_the_permutation_test_counts_what_brute_force_counts(differences: list[int]) -> None:
    observed = abs(sum(differences))
    signs = list(itertools.product((-1, 1), repeat=len(differences)))
    extreme = sum(abs(sum(s * d for s, d in zip(row, differences, strict=True))) >= observed for row in signs)
    assert permutation(differences) == pytest.approx(extreme / len(signs))


def test_one_sample_per_environment_makes_the_permutation_test_mcnemars() -> None:
    assert permutation([1] * 30 + [-1] * 12 + [0] * 50) == pytest.approx(mcnemar(30, 12))


def test_drawn_permutations_join_the_exact_ones_and_are_repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = [3, 1, -2, 4, 1, 1, -1, 2, 5, -3, 1, 2]
    exact = permutation(differences)
    monkeypatch.setattr(comparisons, "EXACT_BITS", 0)
    assert permutation(differences) == permutation(differences) == pytest.approx(exact, abs=0.015)
    assert permutation(differences, seed=1) != permutation(differences)


def test_samples_that_resemble_each_other_widen_the_interval() -> None:
    together = clustered_interval([16] * 12 + [0] * 13, [16] * 25)
    mixed = clustered_interval([8] * 12 + [7] * 13, [16] * 25)
    assert together and mixed
    assert together[1] - together[0] > 0.3 and mixed[1] - mixed[0] < 0.03
    assert together == clustered_interval([16] * 12 + [0] * 13, [16] * 25)
    assert clustered_interval([1] * 7, [2] * 7) is None


def test_the_clustered_interval_covers_as_often_as_it_says() -> None:
    chance, hits = Random("coverage"), 0
    for _ in range(300):
        shares = [chance.betavariate(2, 2) for _ in range(40)]
        sums = [sum(chance.random() < share for _ in range(10)) for share in shares]
        interval = clustered_interval(sums, [10] * 40)
        assert interval
        hits += interval[0] <= 0.5 <= interval[1]
    assert 0.91 <= hits / 300 <= 0.98


def test_the_minimum_detectable_difference_is_found_four_times_in_five() -> None:
    detectable = minimum_detectable(0.4, 0.4, 400)
    assert detectable == pytest.approx(0.097, abs=0.001)
    assert minimum_detectable(0.4, 0.4, 1600) == pytest.approx(detectable / 2, rel=0.001)
    chance, found = Random("power"), 0
    for _ in range(300):
        first = [chance.random() < 0.4 for _ in range(400)]
        second = [chance.random() < 0.4 + detectable for _ in range(400)]
        only = [sum(a > b for a, b in zip(*pair, strict=True)) for pair in ((first, second), (second, first))]
        found += mcnemar(*only) < 0.05
    assert 0.72 <= found / 300 <= 0.86


def test_equal_models_are_told_apart_as_seldom_as_promised() -> None:
    chance, wrong = Random("level"), 0
    for _ in range(200):
        hard = [chance.betavariate(2, 2) for _ in range(25)]
        tables = [verdicts([chance.random() < hard[index % 25] for index in range(200)]) for _ in "ab"]
        wrong += config_row(first=tables[0], second=tables[1])["verdict"] == DISTINGUISHABLE
    assert wrong / 200 <= 0.05


def test_many_samples_and_models_stay_quick() -> None:
    chance = Random("quick")
    tables = {f"m{share}": verdicts([chance.random() < share / 10 for _ in range(20_000)], 500) for share in range(8)}
    started = time.process_time()
    compare(tables)
    assert time.process_time() - started < 30
