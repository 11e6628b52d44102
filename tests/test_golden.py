"""Golden rows: every rule of the scoring contract, held against the core and against the oracle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import oracle
import pytest

import envsim_core as ec

GOLDEN = Path(__file__).parent / "golden"
Row = dict[str, Any]
SAMPLE_FIELDS = ("sample_id", "state_before", "state_after", "observation", "volatile")
ROW_FIELDS = {"name", "why", "completion", *SAMPLE_FIELDS}


class Implementation(Protocol):
    """What both scorers offer to the rows."""

    def equal(self, left: str, right: str) -> bool: ...
    def accepts(self, text: str) -> bool: ...
    def diff(self, before: Row, after: Row) -> list[Row]: ...
    def apply(self, state: Row, operations: list[Any]) -> Row: ...
    def score(self, sample: Row, completion: str | None) -> Row: ...


class Core:
    """The Rust core through its Python surface."""

    def equal(self, left: str, right: str) -> bool:
        before, after = f'{{"v": {left}}}', f'{{"v": {right}}}'
        equal = not ec.diff(before, after)
        assert (ec.fingerprint(before) == ec.fingerprint(after)) == equal, "equal states have equal digests"
        return equal

    def accepts(self, text: str) -> bool:
        try:
            return ec.diff(text, text) == []
        except ec.InvalidState:
            return False

    def diff(self, before: Row, after: Row) -> list[Row]:
        return [
            {"type": change.type, "path": list(change.path), "before": change.before, "after": change.after}
            for change in ec.diff(before, after)
        ]

    def apply(self, state: Row, operations: list[Any]) -> Row:
        try:
            return {"result": ec.apply(state, operations)}
        except ec.InapplicableOperation as error:
            return {"inapplicable": error.index}

    def score(self, sample: Row, completion: str | None) -> Row:
        return with_flat_mismatch(ec.score(sample, completion).to_dict())


class Oracle:
    """The plain Python scorer."""

    def equal(self, left: str, right: str) -> bool:
        return oracle.equal(json.loads(left), json.loads(right))

    def accepts(self, text: str) -> bool:
        try:
            return isinstance(json.loads(text), dict)
        except ValueError:
            return False

    def diff(self, before: Row, after: Row) -> list[Row]:
        return oracle.diff(before, after)

    def apply(self, state: Row, operations: list[Any]) -> Row:
        try:
            return {"result": oracle.apply(state, operations)}
        except oracle.Inapplicable as error:
            return {"inapplicable": error.index}

    def score(self, sample: Row, completion: str | None) -> Row:
        return with_flat_mismatch(oracle.as_json(oracle.score(sample, completion)))


def with_flat_mismatch(verdict: Row) -> Row:
    mismatch = verdict["first_mismatch"] or {}
    return verdict | {f"mismatch_{key}": value for key, value in mismatch.items()}


def rows(name: str) -> list[Any]:
    """The rows of a golden file as pytest parameters."""
    lines = (GOLDEN / name).read_text(encoding="utf-8").splitlines()
    return [pytest.param(row, id=row["name"]) for row in map(json.loads, lines)]


@pytest.fixture(params=[Core, Oracle])
def scorer(request: pytest.FixtureRequest) -> Implementation:
    implementation: Implementation = request.param()
    return implementation


@pytest.mark.parametrize("row", rows("values.jsonl"))
def test_two_values_are_equal_or_not_in_both_directions(row: Row, scorer: Implementation) -> None:
    assert scorer.equal(row["left"], row["right"]) == row["equal"], row["why"]
    assert scorer.equal(row["right"], row["left"]) == row["equal"], row["why"]


@pytest.mark.parametrize("row", rows("json.jsonl"))
def test_a_state_is_accepted_or_refused_as_python_does(row: Row, scorer: Implementation) -> None:
    assert scorer.accepts(row["text"]) == row["accept"], row["why"]


@pytest.mark.parametrize("row", rows("diff.jsonl"))
def test_the_changes_between_two_states(row: Row, scorer: Implementation) -> None:
    changes = scorer.diff(row["before"], row["after"])
    assert json.dumps(changes, sort_keys=True) == json.dumps(row["changes"], sort_keys=True), row["why"]
    assert oracle.equal(scorer.apply(row["before"], changes), {"result": row["after"]}), "apply undoes diff"


@pytest.mark.parametrize("row", rows("apply.jsonl") + rows("rfc6902.jsonl"))
def test_operations_apply_or_are_inapplicable(row: Row, scorer: Implementation) -> None:
    expected = {key: row[key] for key in ("result", "inapplicable") if key in row}
    before = json.dumps(row["state"])
    result = scorer.apply(row["state"], row["operations"])
    assert oracle.equal(result, expected), f"{row['why']}: {result}"
    assert json.dumps(row["state"]) == before, "the given state stays as it was"


@pytest.mark.parametrize("row", rows("score.jsonl") + rows("contract.jsonl"))
def test_an_answer_gets_the_verdict_of_the_contract(row: Row, scorer: Implementation) -> None:
    sample = {key: row[key] for key in SAMPLE_FIELDS if key in row}
    verdict = scorer.score(sample, row["completion"])
    expected = {key: value for key, value in row.items() if key not in ROW_FIELDS}
    got = {key: verdict.get(key) for key in expected}
    for key, value in expected.items():
        same = got[key] == pytest.approx(value, abs=1e-12) if type(value) is float else oracle.equal(got[key], value)
        assert same, f"{row['why']}: {key} is {got[key]!r}, not {value!r}"


def test_a_batch_gives_the_verdicts_of_its_samples_in_order() -> None:
    golden = [param.values[0] for param in rows("score.jsonl") + rows("contract.jsonl")]
    samples = [{key: row[key] for key in SAMPLE_FIELDS if key in row} for row in golden]
    completions = [row["completion"] for row in golden]
    single = [ec.score(sample, answer).to_dict() for sample, answer in zip(samples, completions, strict=True)]
    for threads in (1, 3):
        batch = [verdict.to_dict() for verdict in ec.score_batch(samples, completions, threads=threads)]
        assert repr(batch) == repr(single)
    lines = [json.dumps(sample) for sample in samples]
    assert repr([verdict.to_dict() for verdict in ec.score_batch(lines, completions)]) == repr(single)


def test_every_golden_row_has_a_name_of_its_own_and_a_reason() -> None:
    for path in sorted(GOLDEN.glob("*.jsonl")):
        found = [param.values[0] for param in rows(path.name)]
        assert len({row["name"] for row in found}) == len(found), path.name
        assert all(row["why"] for row in found), path.name
