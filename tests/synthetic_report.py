"""Synthetic report inputs: a benchmark and verdict tables of the right schema, made without environments or models."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from envsim_core.records import Action, Sample, write_json, write_rows
from envsim_core.stages.score import SCHEMA

QUOTAS = {
    "failure": (20, 0),
    "no_change_no_args": (40, 0),
    "no_change_args": (40, 0),
    **{f"delta_{count}": (25 if count < 3 else 50, count) for count in range(1, 7)},
    "delta_7_12": (50, 9),
}

Verdict = dict[str, Any]


def verdict(failure: str, *, feedback: bool = True, outcome: str = "scored", published: bool | None = None) -> Verdict:
    """One verdict row, consistent as the scorer's are."""
    if outcome == "failed":
        return {**dict.fromkeys(SCHEMA), "outcome": "failed", "failure": "failed"}
    right = failure in ("none", "feedback_only")
    feedback = feedback and outcome == "scored" and failure != "feedback_only"
    told = right if published is None else published
    return {
        **dict.fromkeys(SCHEMA),
        "strategy": "whole_json",
        "outcome": outcome,
        "failure": failure,
        "config_match": right,
        "feedback_match": feedback,
        "feedback_verbatim": feedback,
        "collateral": 1 if failure == "collateral_edit" else 0,
        "config_match_masked": right,
        "silent_corruption": feedback and not right,
        "ambiguous_path": False,
        "config_match_published_hosted": told,
        "feedback_match_published_hosted": feedback,
        "config_match_published_own": told,
        "feedback_match_published_own": feedback,
    }


def oracle(sample: Sample, chance: random.Random) -> Verdict:
    """Always right."""
    return verdict("none", published=sample.change_count == 0 or chance.random() < 0.8)


def copy(sample: Sample, chance: random.Random) -> Verdict:
    """Nothing changes."""
    return verdict("missed_all" if sample.change_count else "none", feedback=False)


def spam(sample: Sample, chance: random.Random) -> Verdict:
    """Right changes and invented ones."""
    return verdict("collateral_edit", published=True)


def delete_all(sample: Sample, chance: random.Random) -> Verdict:
    """Everything is gone."""
    return verdict("missed_change", feedback=False, published=sample.change_count == 0)


def noisy(sample: Sample, chance: random.Random) -> Verdict:
    """Errs at a set rate per change, and sometimes does not answer."""
    draw = chance.random()
    if draw < 0.03:
        return verdict("failed", outcome="failed")
    if draw < 0.05:
        return verdict("unparsed", outcome="unparsed")
    if draw < 0.06:
        return verdict("refused", outcome="refused")
    if draw < 0.08:
        return {**verdict("none"), "config_match_published_own": None, "feedback_match_published_own": None}
    wrong = chance.random() > 0.85**sample.change_count
    choices = ("missed_change", "wrong_value", "wrong_value", "type_flip", "inapplicable_operation")
    return verdict(chance.choice(choices) if wrong else "none", feedback=chance.random() < 0.8)


def down(sample: Sample, chance: random.Random) -> Verdict:
    """A server that never answered."""
    return verdict("failed", outcome="failed")


MODELS: dict[str, Callable[[Sample, random.Random], Verdict]] = {
    "oracle": oracle,
    "copy": copy,
    "spam": spam,
    "delete_all": delete_all,
    "noisy": noisy,
}


def write_benchmark(folder: Path, per_stratum: int | None = None, empty: Sequence[str] = ()) -> list[Sample]:
    """Write benchmark.jsonl and composition.json with the published quotas or `per_stratum` samples of each."""
    samples: list[Sample] = []
    strata: dict[str, dict[str, int]] = {}
    for stratum, (quota, count) in QUOTAS.items():
        drawn = 0 if stratum in empty else per_stratum or quota
        strata[stratum] = {"asked": per_stratum or quota, "drawn": drawn, "available": drawn * 3}
        for index in range(drawn):
            before = {f"key{change}": 0 for change in range(count)}
            samples.append(
                Sample(
                    sample_id=f"{stratum}-{index}",
                    env_id=f"environment-{index % 9}",
                    task_id="task",
                    step=index,
                    stratum=stratum,
                    change_count=count,
                    code_hash="0" * 64,
                    action=Action(name="act", arguments={}),
                    observation="{'success': True}",
                    state_before=before,
                    state_after=dict.fromkeys(before, 1),
                )
            )
    write_rows(folder / "benchmark.jsonl", samples)
    write_json(folder / "composition.json", {"seed": 7, "strata": strata})
    return samples


def write_scores(folder: Path, samples: Sequence[Sample], models: Sequence[str] = tuple(MODELS)) -> dict[str, Path]:
    """Write verdicts.parquet and summary.json per model; a name that is no baseline behaves like `noisy`."""
    digest = hashlib.sha256((folder / "benchmark.jsonl").read_bytes()).hexdigest()
    summary = {"versions": {"scorer": "0.1.0", "score_stage": "1"}, "benchmark_sha256": digest}
    scores: dict[str, Path] = {}
    for number, model in enumerate(models):
        act = down if model == "down" else MODELS.get(model, noisy)
        chance = random.Random(f"{model} 1")
        rows = [{**act(sample, chance), "sample_id": sample.sample_id} for sample in samples]
        scores[model] = folder / "score" / str(number)
        scores[model].mkdir(parents=True)
        pl.DataFrame(rows, schema=SCHEMA).write_parquet(scores[model] / "verdicts.parquet")
        (scores[model] / "summary.json").write_text(json.dumps(summary))
    return scores
