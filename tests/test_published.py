"""The published harness's verdicts: each of its known quirks in the state, and which samples it drops."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from published_answers import both_variants, change, config_match, verdict

from envsim_core.published import (
    DEPARTURES,
    PublishedVerdict,
    Variant,
    score_published,
)

# --- the state --------------------------------------------------------------------------------------------------------


@both_variants
def test_a_right_change_matches_and_a_wrong_value_does_not(variant: Variant) -> None:
    before, after = {"a": {"b": 1}, "c": 2}, {"a": {"b": 5}, "c": 2}
    assert config_match(before, after, change("a.b", 5), variant=variant) is True
    assert config_match(before, after, change("a.b", 6), variant=variant) is False
    assert config_match(before, after, variant=variant) is False


@both_variants
def test_deleting_everything_passes_where_nothing_changed(variant: Variant) -> None:
    deletions = [change("a", kind="delete"), change("b", kind="removed")]
    assert config_match({"a": 1, "b": 2}, {"a": 1, "b": 2}, *deletions, variant=variant) is True


@both_variants
def test_a_constant_empty_object_passes_only_where_nothing_changed(variant: Variant) -> None:
    assert verdict("{}", variant=variant).config_match is True
    assert verdict("{}", {"a": 1}, {"a": 2}, variant=variant).config_match is False


@both_variants
def test_the_right_leaf_passes_with_all_else_deleted(variant: Variant) -> None:
    before, after = {"a": 1, "b": 2, "c": {"d": 3}}, {"a": 9, "b": 2, "c": {"d": 3}}
    changes = [change("a", 9), change("b", kind="delete"), change("c", kind="delete"), change("x", [1])]
    assert config_match(before, after, *changes, variant=variant) is True


@both_variants
@pytest.mark.parametrize("kind", ["delete", "removed"])
def test_a_correct_deletion_never_passes(variant: Variant, kind: str) -> None:
    assert config_match({"a": 1, "b": 2}, {"a": 1}, change("b", kind=kind), variant=variant) is False


@both_variants
def test_writing_null_passes_as_a_deletion(variant: Variant) -> None:
    assert config_match({"a": 1, "b": 2}, {"a": 1}, change("b", None), variant=variant) is True


@both_variants
@pytest.mark.parametrize("kind", ["remove", "Delete", "DELETE", "pop", ""])
def test_an_unknown_kind_sets_null_and_passes_as_a_deletion(variant: Variant, kind: str) -> None:
    removal = {"type": kind, "path": "b"}
    assert config_match({"a": 1, "b": 2}, {"a": 1}, removal, variant=variant) is True


def test_an_absent_kind_sets_too() -> None:
    assert config_match({"a": 1}, {"a": 2}, {"path": "a", "value": 2}) is True


def test_value_wins_over_after_even_when_null() -> None:
    assert config_match({"a": 1}, {"a": 2}, {"type": "modified", "path": "a", "after": 2}) is True
    assert config_match({"a": 1}, {"a": 2}, {"path": "a", "value": 2, "after": 3}) is True
    assert config_match({"a": 1}, {"a": 2}, {"path": "a", "value": None, "after": 2}) is False


def test_a_key_with_a_dot_is_split_so_the_right_state_fails() -> None:
    before, after = {"files": {"report.pdf": 1}}, {"files": {"report.pdf": 2}}
    assert config_match(before, after, change(["files", "report.pdf"], 2)) is False
    assert config_match(before, after, change("files.report.pdf", 2)) is True  # a wrong state that passes


@pytest.mark.parametrize("path", ["/a/b", "$.a.b", "self.a.b", "a[b]", "a['b']"])
def test_any_other_spelling_of_a_right_path_scores_nothing(path: str) -> None:
    assert config_match({"a": {"b": 1}}, {"a": {"b": 2}}, change(path, 2)) is False


def test_a_list_path_is_taken_as_it_is() -> None:
    assert config_match({"a": {"b": 1}}, {"a": {"b": 2}}, change(["a", "b"], 2)) is True
    assert config_match({"a": {"b": 1}}, {"a": {"b": 2}}, change(["a.b"], 2)) is False


def test_true_equals_one_in_the_state() -> None:
    assert config_match({"a": 0}, {"a": True}, change("a", 1)) is True
    assert config_match({"a": 0}, {"a": 1}, change("a", 1.0)) is True
    assert config_match({"a": 1}, {"a": True}) is True  # no change at all, in Python's eyes


def test_missing_parents_become_objects() -> None:
    assert config_match({}, {"a": {"b": {"c": 1}}}, change("a.b.c", 1)) is True


def test_a_list_is_padded_with_null_at_the_end_of_a_path_and_with_objects_on_the_way() -> None:
    assert config_match({"a": []}, {"a": [None, None, 7]}, change("a.2", 7)) is True
    assert config_match({"a": []}, {"a": [{}, {"b": 7}]}, change("a.1.b", 7)) is True


def test_a_list_index_is_set_and_never_inserted() -> None:
    before = {"a": [1, 2]}
    assert config_match(before, {"a": [9, 2]}, change("a.0", 9, "add")) is True
    assert config_match(before, {"a": [9, 1, 2]}, change("a.0", 9, "add")) is False
    assert config_match(before, {"a": [1, 9]}, change("a.-1", 9)) is True
    assert config_match(before, {"a": [2]}, change("a.0", kind="delete")) is True


def test_deleting_what_is_not_there_does_nothing() -> None:
    assert config_match({"a": 1, "c": [1]}, {"a": 2, "c": [1]}, change("zz", kind="delete"), change("a", 2)) is True
    assert config_match({"a": 1, "c": [1]}, {"a": 2, "c": [1]}, change("c.5", kind="delete"), change("a", 2)) is True


def test_nan_inside_a_list_equals_itself_and_alone_does_not() -> None:
    before = {"a": [1, float("nan")], "b": 1}
    after = {"a": [1, float("nan")], "b": 2}
    assert config_match(before, after, change("b", 2)) is True
    assert config_match({"a": float("nan")}, {"a": float("nan")}) is False


def test_the_states_are_left_as_they_were() -> None:
    before, after = {"a": {"b": [1]}}, {"a": {"b": [1, 2]}}
    kept = copy.deepcopy((before, after))
    config_match(before, after, change("a.b.1", 2), change("a", kind="delete"))
    assert (before, after) == kept


# --- dropped samples --------------------------------------------------------------------------------------------------


@both_variants
@pytest.mark.parametrize(
    "changes",
    [
        None,
        7,
        True,
        "delete a",
        {"type": "modify", "path": "a", "value": 1},
        [None],
        ["a"],
        [[]],
        [{"type": "modify", "value": 1}],
        [change(None)],
        [change(3)],
        [change({"a": 1})],
        [change([])],
        [change([["a"]])],
        [change("a.b", 1)],
        [change("n.b", 1)],
        [change("text.b", kind="delete")],
        [change("list.first", 1)],
        [change("list.-9", 1)],
        [change("list.0.b", 1)],
        [change("a", 2), None],
    ],
)
def test_malformed_changes_drop_the_sample(variant: Variant, changes: Any) -> None:
    state = {"a": 1, "n": None, "text": "t", "list": [1]}
    completion = json.dumps({"feedback": "ok", "config_changes": changes})
    found = verdict(completion, state, variant=variant)
    assert (found.config_match, found.feedback_match, found.dropped) == (None, None, True)
    assert found.why.isascii()


@pytest.mark.parametrize("completion", ["[]", "null", "5", '"text"', "```\n[{}]\n```", "{1, 2}"])
def test_a_readable_answer_that_is_no_object_drops_the_sample(completion: str) -> None:
    assert verdict(completion).dropped is True


@pytest.mark.parametrize("changes", [[], {}, ""])
def test_iterating_over_nothing_is_no_change(changes: Any) -> None:
    assert verdict(json.dumps({"config_changes": changes})).config_match is True


@both_variants
@pytest.mark.parametrize("completion", ["", "  \n", "I cannot tell.", "}", "```json\n```"])
def test_an_unreadable_answer_is_wrong_and_counted(variant: Variant, completion: str) -> None:
    assert verdict(completion, variant=variant) == PublishedVerdict(False, False, False, "no answer could be read")


@both_variants
def test_a_failed_request_is_wrong_and_counted(variant: Variant) -> None:
    assert verdict(None, variant=variant) == PublishedVerdict(False, False, False, "the request failed")


def test_an_unknown_variant_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown variant 'other'"):
        score_published({}, {}, "", "{}", "other")  # type: ignore[arg-type]


def test_the_departures_are_named_once_each() -> None:
    names = [departure.name for departure in DEPARTURES]
    assert len(set(names)) == len(names) > 10
    assert all(departure.explanation for departure in DEPARTURES)
