"""Differential tests: the core against the oracle on random states, operations and completions, and the laws."""

from __future__ import annotations

import copy
import json
import math
import os
from typing import Any

import oracle
import strategies as own
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import envsim_core as ec

# ENVSIM_EXAMPLES=20 runs 20 times as many examples, newly drawn; the default run is the same every time.
SCALE = float(os.environ.get("ENVSIM_EXAMPLES", "1"))
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]


def examples(count: int) -> settings:
    return settings(
        max_examples=max(1, int(count * SCALE)),
        derandomize="ENVSIM_EXAMPLES" not in os.environ,
        deadline=None,
        database=None,
        suppress_health_check=SLOW,
    )


def same(left: Any, right: Any) -> bool:
    """Equal as verdict fields are: floats within 1e-12, everything else exactly."""
    if isinstance(left, float) and isinstance(right, float) and math.isfinite(left) and math.isfinite(right):
        return math.isclose(left, right, abs_tol=1e-12)
    return type(left) is type(right) and oracle.equal(left, right)


def assert_same_verdict(sample: dict[str, Any], completion: str | None) -> None:
    expected = oracle.as_json(oracle.score(sample, completion))
    verdict_of_core: dict[str, Any] = ec.score(sample, completion).to_dict()
    got: dict[str, Any] = {
        key: str(value) if isinstance(value, str) else value for key, value in verdict_of_core.items()
    }
    for verdict in (expected, got):  # the wording of a reason is each scorer's own
        if verdict["first_mismatch"]:
            verdict["first_mismatch"] = {k: v for k, v in verdict["first_mismatch"].items() if k != "reason"}
    wrong = {key: (got.get(key), value) for key, value in expected.items() if not same(got.get(key), value)}
    assert got.keys() == expected.keys()
    assert not wrong, f"(core, oracle): {wrong}"


@examples(400)
@given(st.data())
def test_applying_a_diff_gives_the_other_state(data: st.DataObject) -> None:
    before = data.draw(own.states)
    after = data.draw(st.one_of(own.states, own.changed(before)))
    changes = ec.diff(before, after)
    assert oracle.equal(ec.apply(before, changes), after)
    as_objects = [change.to_dict() for change in changes]
    assert oracle.equal(ec.apply(before, as_objects), after)
    assert oracle.equal(json.loads(ec.apply(json.dumps(before), changes)), after)
    assert (changes == []) == oracle.equal(before, after)
    assert (ec.fingerprint(before) == ec.fingerprint(after)) == oracle.equal(before, after)


@examples(400)
@given(st.data())
def test_a_diff_is_the_diff_of_the_oracle(data: st.DataObject) -> None:
    before = data.draw(own.states)
    after = data.draw(own.changed(before))
    got = [
        {"type": str(change.type), "path": list(change.path), "before": change.before, "after": change.after}
        for change in ec.diff(before, after)
    ]
    assert oracle.equal(got, oracle.diff(before, after))


@examples(300)
@given(own.states)
def test_a_state_equals_itself_in_any_key_order_and_spelling(state: dict[str, Any]) -> None:
    turned = dict(reversed(copy.deepcopy(state).items()))
    for spelling in (json.dumps(turned), json.dumps(turned, indent=2, sort_keys=True)):
        assert ec.diff(state, spelling) == []
        assert ec.fingerprint(state) == ec.fingerprint(spelling)


@examples(800)
@given(st.data())
def test_operations_have_the_effect_that_the_oracle_says(data: st.DataObject) -> None:
    before = data.draw(own.states)
    after = data.draw(own.changed(before))
    operations = data.draw(own.operations(before, after))
    try:
        expected: Any = oracle.apply(before, operations)
    except oracle.Inapplicable as error:
        expected = error.index
    try:
        got: Any = ec.apply(before, operations)
    except ec.InapplicableOperation as error:
        got = error.index
    assert same(got, expected), f"core: {got!r}, oracle: {expected!r}"


@examples(1200)
@given(own.questions())
def test_a_verdict_is_the_verdict_of_the_oracle(question: tuple[dict[str, Any], str | None]) -> None:
    assert_same_verdict(*question)


@examples(400)
@given(st.lists(st.sampled_from([*own.PIECES, "ok", "1", '{"config_changes": []}', "a"]), max_size=14))
def test_loose_pieces_of_answers_are_read_as_the_oracle_reads_them(pieces: list[str]) -> None:
    assert_same_verdict({"state_before": {}, "state_after": {}, "observation": "x"}, "".join(pieces))


@examples(400)
@given(st.data())
def test_observations_match_when_the_oracle_says_so(data: st.DataObject) -> None:
    truth, feedback = data.draw(own.observations())
    truth = data.draw(own.mutated(truth))
    sample = {"state_before": {}, "state_after": {}, "observation": truth}
    assert_same_verdict(sample, json.dumps({"feedback": feedback}))
    assert_same_verdict(sample, repr({"feedback": feedback}))


@examples(60)
@given(st.lists(own.questions(), max_size=6))
def test_a_batch_gives_the_single_verdicts_whatever_the_order_and_the_threads(questions: list[Any]) -> None:
    single = [repr(ec.score(*question).to_dict()) for question in questions]
    for threads in (1, 2):
        for turn in (1, -1):
            samples = [sample for sample, _ in questions[::turn]]
            answers = [answer for _, answer in questions[::turn]]
            batch = [repr(verdict.to_dict()) for verdict in ec.score_batch(samples, answers, threads=threads)]
            assert batch[::turn] == single
