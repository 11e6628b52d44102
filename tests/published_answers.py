"""Answers and verdicts in the published format, for the tests of the comparison column."""

from __future__ import annotations

import json
from typing import Any

import pytest

from envsim_core.published import PublishedVerdict, Variant, score_published

VARIANTS: tuple[Variant, ...] = ("hosted", "own")
both_variants = pytest.mark.parametrize("variant", VARIANTS)


def change(path: Any, value: Any = None, kind: str = "modify") -> dict[str, Any]:
    return {"type": kind, "path": path, "value": value}


def answer(*changes: Any, feedback: Any = "ok") -> str:
    return json.dumps({"feedback": feedback, "config_changes": list(changes)})


def verdict(
    completion: str | None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    observation: Any = "ok",
    variant: Variant = "hosted",
) -> PublishedVerdict:
    before = {"a": 1, "b": 2} if before is None else before
    return score_published(before, before if after is None else after, observation, completion, variant)


def config_match(before: dict[str, Any], after: dict[str, Any], *changes: Any, variant: Variant = "hosted") -> Any:
    found = verdict(answer(*changes), before, after, variant=variant)
    assert found.dropped == (found.config_match is None) == (found.feedback_match is None)
    return found.config_match


def feedback_match(truth: Any, feedback: Any, variant: Variant = "hosted") -> Any:
    return verdict(answer(feedback=feedback), observation=truth, variant=variant).feedback_match
