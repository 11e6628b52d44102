"""Oracle: a slow, obvious scorer written from the scoring contract alone, to hold the fast one against."""

from __future__ import annotations

import copy
import json
from typing import Any

from oracle_state import (
    MISSING,
    Inapplicable,
    JsonObject,
    Refuse,
    Segment,
    apply,
    diff,
    equal,
    lookup,
    run_operations,
)
from oracle_text import Set, Unparsed, Unreadable, extract, read_whole

__all__ = ["MISSING", "Inapplicable", "Unparsed", "apply", "as_json", "diff", "equal", "extract", "score"]

# --------------------------------------------------------------------------------------------- verdicts (contract, 4)


def feedback_text(feedback: Any) -> str | None:
    """The text of a predicted feedback; None when it is a container, which counts as its value."""
    if isinstance(feedback, str):
        return feedback
    if isinstance(feedback, (dict, list, Set)):
        return None
    return "" if feedback is None else json.dumps(feedback)


def read_container(text: str) -> Any:
    """The container that the whole text is, or MISSING."""
    try:
        value = read_whole(text)
    except Unreadable:
        return MISSING
    return value if isinstance(value, (dict, list, Set)) else MISSING


def observation_matches(truth: str, feedback: Any) -> bool:
    """Whether a predicted feedback equals the true observation."""
    text = feedback_text(feedback)
    expected = read_container(truth)
    if expected is MISSING:
        return text == truth
    got = feedback if text is None else read_container(text)
    return got is not MISSING and equal(expected, got)


def is_type_flip(expected: Any, got: Any) -> bool:
    """A boolean against 0 or 1, or text that reads as the other value."""
    # reading: either boolean against either number (true against 0 too); 1.0 is 1.
    for this, other in ((expected, got), (got, expected)):
        if (
            isinstance(this, bool)
            and isinstance(other, (int, float))
            and not isinstance(other, bool)
            and other in (0, 1)
        ):
            return True
        if isinstance(this, str) and other is not MISSING:
            # reading: reads as in section 5, scalars included, so '"a"' reads as the text 'a' too.
            try:
                if equal(read_whole(this), other):
                    return True
            except Unreadable:
                continue
    return False


def value_at(state: Any, path: list[str]) -> Any:
    """The value at a path through objects, or MISSING."""
    for key in path:
        state = state.get(key, MISSING) if isinstance(state, dict) else MISSING
    return state


def agree(left: Any, right: Any) -> bool:
    return left is right if MISSING in (left, right) else equal(left, right)


def failure_of(sample: JsonObject, predicted: JsonObject, operations: list[Any], feedback_match: bool) -> str:
    """The class of a scored answer whose operations all applied."""
    before, after = sample["state_before"], sample["state_after"]
    if equal(predicted, after):
        return "none" if feedback_match else "feedback_only"
    if not operations and not equal(before, after):
        return "missed_all"
    seen = set()
    for path in (change["path"] for change in diff(before, after)):
        old, expected, got = (value_at(state, path) for state in (before, after, predicted))
        if agree(expected, got):
            continue
        if agree(old, got):
            seen.add("missed_change")
        else:
            seen.add("type_flip" if is_type_flip(expected, got) else "wrong_value")
    for failure in ("type_flip", "wrong_value", "missed_change"):
        if failure in seen:
            return failure
    return "collateral_edit"


def mask(state: Any, volatile: list[list[str | int]]) -> Any:
    """A copy without the volatile paths; an array element becomes null."""
    state = copy.deepcopy(state)
    for path in volatile:
        # reading: an empty path removes the whole state from both sides.
        if not path:
            return None
        *parents, last = [Segment(str(item)) for item in path]
        try:
            parent = lookup(state, parents)
            lookup(parent, [last])
        except Refuse:
            continue
        if isinstance(parent, dict):
            del parent[last.text]
        else:
            parent[int(last.text)] = None
    return state


def metrics(before: JsonObject, after: JsonObject, predicted: JsonObject) -> JsonObject:
    true, made = diff(before, after), diff(before, predicted)
    right = sum(
        change["path"] == other["path"] and agree(value_at(predicted, change["path"]), value_at(after, other["path"]))
        for change in made
        for other in true
    )
    if true and made:
        precision, recall = right / len(made), right / len(true)
        f1 = 2 * right / (len(made) + len(true))
    else:
        precision = recall = f1 = float(not true and not made)
    collateral = sum(not any(related(change["path"], other["path"]) for other in true) for change in made)
    return {"changed_precision": precision, "changed_recall": recall, "changed_f1": f1, "collateral": collateral}


def related(left: list[str], right: list[str]) -> bool:
    """Equal, ancestor or descendant."""
    shorter = min(len(left), len(right))
    return left[:shorter] == right[:shorter]


ZERO = {
    "config_match": False,
    "feedback_match": False,
    "feedback_verbatim": False,
    "changed_precision": 0.0,
    "changed_recall": 0.0,
    "changed_f1": 0.0,
    "collateral": 0,
    "config_match_masked": False,
    "silent_corruption": False,
}


def score(sample: JsonObject, completion: str | None) -> JsonObject:
    """The verdict on one answer; `completion` None means that infrastructure gave none."""
    base = {"sample_id": sample.get("sample_id"), "strategy": None, "ambiguous_path": False, "first_mismatch": None}
    if completion is None:
        return {**base, **dict.fromkeys(ZERO), "outcome": "failed", "failure": "failed"}
    # reading: white space is what str.strip() strips, behind a byte-order mark that counts as nothing.
    if completion.removeprefix("\ufeff").strip() == "":
        return {**base, **ZERO, "outcome": "refused", "failure": "refused"}
    try:
        prediction, strategy = extract(completion)
    except Unparsed:
        return {**base, **ZERO, "outcome": "unparsed", "failure": "unparsed"}
    before, after, truth = sample["state_before"], sample["state_after"], sample["observation"]
    operations, feedback = prediction["config_changes"], prediction["feedback"]
    feedback_match = observation_matches(truth, feedback)
    # reading: an object or list has no text, so it is never verbatim.
    verdict = {**base, **ZERO, "outcome": "scored", "strategy": strategy}
    verdict |= {"feedback_match": feedback_match, "feedback_verbatim": feedback_text(feedback) == truth}
    predicted, verdict["ambiguous_path"], error = run_operations(before, operations)
    if error:
        place = {"path": None, "expected": MISSING, "got": MISSING, "operation": error.index, "reason": error.reason}
        silent = {"silent_corruption": feedback_match}
        return {**verdict, **silent, "failure": "inapplicable_operation", "first_mismatch": place}
    config_match = equal(predicted, after)
    volatile = sample.get("volatile") or []
    verdict |= metrics(before, after, predicted)
    verdict |= {
        "config_match": config_match,
        "config_match_masked": equal(mask(predicted, volatile), mask(after, volatile)),
        "silent_corruption": feedback_match and not config_match,
        "failure": failure_of(sample, predicted, operations, feedback_match),
    }
    if not config_match:
        # reading: the first mismatch is the first entry of diff(predicted, after).
        path = diff(predicted, after)[0]["path"]
        verdict["first_mismatch"] = {
            "path": path,
            "expected": value_at(after, path),
            "got": value_at(predicted, path),
            "operation": None,
            "reason": None,
        }
    return verdict


def as_json(verdict: JsonObject) -> JsonObject:
    """The verdict as plain JSON values: in the first mismatch, what is not there is left out."""
    place = verdict["first_mismatch"]
    if place is None:
        return verdict
    left = {key: value for key, value in place.items() if value is not MISSING and (key, value) != ("path", None)}
    for key in ("operation", "reason"):
        if left[key] is None:
            del left[key]
    return {**verdict, "first_mismatch": left}
