"""The published harness's verdicts: each of its known quirks, and that no answer makes it raise or run away."""

from __future__ import annotations

import copy
import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envsim_core.published import (
    DEPARTURES,
    READERS,
    PublishedVerdict,
    Unreadable,
    Variant,
    score_published,
)

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


# --- reading an answer ------------------------------------------------------------------------------------------------

NESTED = {"feedback": {"success": True}, "config_changes": [change("a", 5)]}
FLAT = {"feedback": "ok", "config_changes": []}


def readable(text: str, variant: Variant) -> Any:
    try:
        return READERS[variant](text)
    except Unreadable:
        return Unreadable


@both_variants
def test_the_whole_text_or_the_first_block_is_read(variant: Variant) -> None:
    body = json.dumps(NESTED)
    assert readable(body, variant) == NESTED
    assert readable(f"Sure:\n```json\n{body}\n```\nDone.", variant) == NESTED
    assert readable(f"```{body}```", variant) == NESTED
    assert readable(f"```json\n{body}\n``` or ```json\n{{}}\n```", variant) == NESTED


@both_variants
def test_a_python_literal_in_a_block_is_read(variant: Variant) -> None:
    assert readable(f"```\n{NESTED!r}\n```", variant) == NESTED


def test_prose_around_the_json_fails_hosted_and_passes_own() -> None:
    text = f"The next state is {json.dumps(NESTED)} as asked."
    assert readable(text, "hosted") is Unreadable
    assert readable(text, "own") == NESTED
    # The shortest {…} of an object without objects in it is the object.
    assert readable(f"The answer: {json.dumps(FLAT)}!", "hosted") == FLAT


def test_hosted_takes_the_shortest_braces_only_once() -> None:
    assert readable("{x} then {}", "hosted") is Unreadable
    assert readable("say {'a': None} now", "hosted") == {"a": None}
    assert readable("} {", "hosted") is Unreadable


def test_an_unreadable_block_does_not_end_the_search() -> None:
    assert readable(json.dumps({"feedback": "use ```sh``` here"}), "hosted") == {"feedback": "use ```sh``` here"}
    assert readable(f"```sh\nls\n``` {json.dumps(NESTED)}", "own") == NESTED


def test_own_drops_reasoning() -> None:
    body = json.dumps(NESTED)
    assert readable(f'<think>{{"x": 1}}</think>{body}', "own") == NESTED
    assert readable(f"<think>a</think>{body}<think>never closed {{}}", "own") == NESTED
    assert readable(f"<think>never closed {body}", "own") is Unreadable
    assert readable(f"<think>x</think>{json.dumps(FLAT)}", "hosted") == FLAT


@pytest.mark.parametrize("mark", ["\tNdrFc", "{EIF{", "EIF{"])
def test_own_cuts_at_the_traces_of_a_broken_end(mark: str) -> None:
    assert readable(json.dumps(NESTED) + mark + '{"feedback": 1}', "own") == NESTED
    assert readable(mark + json.dumps(NESTED), "own") is Unreadable


def test_own_counts_brackets_outside_double_quotes_only() -> None:
    tricky = {"feedback": 'a } and a { and \\" and "', "config_changes": []}
    assert readable(f"x {json.dumps(tricky)} y }}", "own") == tricky


def test_own_removes_trailing_commas_and_repairs_what_is_broken() -> None:
    assert readable('so: {"feedback": "ok", "config_changes": [1,],} }', "own") == {
        "feedback": "ok",
        "config_changes": [1],
    }
    assert readable('{"feedback": "ok", "config_changes": [{"path": "a"', "own") == {
        "feedback": "ok",
        "config_changes": [{"path": "a"}],
    }
    assert readable("{'feedback': None}", "own") == {"feedback": None}
    assert readable('{"feedback": "ok", "config_changes": [1,],}', "hosted") == {
        "feedback": "ok",
        "config_changes": [1],
    }  # as a Python literal
    assert readable('{"feedback": "ok", "config_changes": [{"path": "a"', "hosted") is Unreadable


# --- the feedback -----------------------------------------------------------------------------------------------------


@both_variants
def test_containers_match_the_text_that_reads_as_them(variant: Variant) -> None:
    truth = {"success": True, "items": [1, None, {"x": "y"}]}
    assert feedback_match(str(truth), truth, variant) is True
    assert feedback_match(str(truth), json.dumps(truth), variant) is True
    assert feedback_match(truth, str(truth), variant) is True
    assert feedback_match(str(truth), {**truth, "more": 1}, variant) is False


@both_variants
def test_plain_text_is_compared_as_it_is(variant: Variant) -> None:
    assert feedback_match("Order not found", "Order not found", variant) is True
    assert feedback_match("Order not found", "order not found", variant) is False
    assert feedback_match("Order not found", "Order not found ", variant) is False


@both_variants
def test_only_the_first_object_of_an_observation_is_compared(variant: Variant) -> None:
    assert feedback_match('{"a": 1} and 5 more', 'other text {"a": 1}', variant) is True
    assert feedback_match('{"a": 1} {"b": 2}', {"a": 1}, variant) is True


@both_variants
def test_python_equality_holds_in_the_feedback(variant: Variant) -> None:
    assert feedback_match("{'success': True}", {"success": 1.0}, variant) is True
    assert feedback_match("True", 1, variant) is True
    assert feedback_match("1", "1.0", variant) is True


@both_variants
def test_outer_quotes_are_taken_off_once(variant: Variant) -> None:
    assert feedback_match("""'{'a': {'b': "x"}}'""", {"a": {"b": "x"}}, variant) is True
    assert feedback_match("'it's fine'", "it's fine", variant) is False  # what is inside is no value


def test_a_missing_feedback_is_the_empty_text() -> None:
    assert verdict("{}", observation="").feedback_match is True
    assert verdict("{}", observation="ok").feedback_match is False


# --- hostile answers --------------------------------------------------------------------------------------------------

HOSTILE = [
    *(unit * (32_000 // len(unit)) for unit in ("{", "}", "[", '"', "(", "-", "`", "```", "<think>", "\\", "'", " ")),
    *(unit * (32_000 // len(unit)) for unit in ('{"', '{"a":', '{"a":[', "{a:", "{'", "1+", "[{", "EIF{", ", ")),
    '{"q":"' + '{"a":[' * 5_000,
    '{"feedback": "' + "{" * 32_000 + '", "config_changes": []}',
    json.dumps({"feedback": "ok", "config_changes": [change(".".join("x" * 30_000), 1)]}),
    '{"feedback": ' + "9" * 100_000 + "}",
    '{"feedback": "\\ud800", "config_changes": [{"path": "\\ud800.b"}]}',
    "\ud800{}\x00",
]


@both_variants
@pytest.mark.parametrize("completion", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_hostile_answers_take_bounded_time(variant: Variant, completion: str) -> None:
    start = time.process_time()
    verdict(completion, {"a": 1}, {"a": 2}, variant=variant)
    assert time.process_time() - start < 10  # a loaded machine; alone it is under two


@both_variants
def test_a_runaway_index_gives_its_verdict_without_its_memory(variant: Variant) -> None:
    before = {"list": [1], "a": 1}
    tracemalloc.start()
    try:
        assert config_match(before, {"list": [1], "a": 2}, change("list.30000000", 5), change("a", 2)) is True
        assert config_match(before, {"list": [1, 2], "a": 1}, change("list.30000000", 5), variant=variant) is False
        assert config_match(before, {"list": [1, 2], "a": 1}, change(f"list.{10**40}.b", 5), variant=variant) is False
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_a_runaway_list_goes_on_to_behave_like_a_list() -> None:
    before, after = {"list": [1], "a": 1}, {"list": [1], "a": 2}
    far = change("list.30000000", 5)
    right = change("a", 2)
    assert config_match(before, after, far, change("list.30000000.b", 1), right) is None  # through a scalar
    assert config_match(before, after, far, change("list.20000000.b", 1), right) is None  # through a padding null
    assert config_match(before, after, change("list.30000000.b", 5), change("list.20000000.b", 1), right) is True
    assert config_match(before, after, far, change("list.-1.b", 1), right) is None
    assert config_match(before, after, far, change("list.40000000", 1), change("list.-30000000", 1), right) is True
    assert config_match(before, after, far, change("list.30000000", kind="delete"), right) is True
    assert config_match(before, {"list": [1, 9], "a": 1}, far, change("list", [1, 9])) is True


@pytest.mark.parametrize("padding", [0, 3, 100])
def test_counted_padding_gives_the_verdict_of_real_padding(padding: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("modify", "delete")
    paths = ("l.0", "l.4", "l.6.x", "l.9", "l.-1", "l.-2.x", "l.8.y")
    cases = [[change(first, 1), change(second, 2, kind)] for first in paths for second in paths for kind in kinds]
    truth = [config_match({"l": [0], "a": 1}, {"l": [0], "a": 2}, *case, change("a", 2)) for case in cases]
    monkeypatch.setattr("envsim_core.published.PADDING_ELEMENTS", padding)
    found = [config_match({"l": [0], "a": 1}, {"l": [0], "a": 2}, *case, change("a", 2)) for case in cases]
    assert found == truth
    assert {True, None} == set(truth)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 12) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.0", max_size=3), inner, max_size=3),
    max_leaves=8,
)
states = st.dictionaries(st.text("ab.0", max_size=3), json_values, max_size=4)
paths = st.text("ab.0-1", max_size=6) | st.lists(json_values, max_size=3) | json_values
kinds = st.sampled_from(["add", "modify", "delete", "removed", "remove", None])
changes = st.lists(
    st.fixed_dictionaries({}, optional={"type": kinds, "path": paths, "value": json_values, "after": json_values})
    | json_values,
    max_size=4,
)
pieces = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        "```",
        "```json\n",
        "<think>",
        "</think>",
        "EIF{",
        ",",
        ":",
        "\\",
        "None",
        "true",
        " ",
    ]
) | st.text(max_size=3)
completions = (
    st.builds(lambda parts: "".join(parts), st.lists(pieces, max_size=30))
    | st.builds(lambda feedback, found: answer(*found, feedback=feedback), json_values, changes)
    | st.builds(lambda found, cut: answer(*found)[:cut], changes, st.integers(0, 200))
    | st.builds(lambda value: repr({"feedback": value, "config_changes": []}), json_values)
)


@settings(max_examples=400, deadline=None)
@given(before=states, after=states, observation=st.text() | json_values, completion=completions)
def test_no_answer_makes_it_raise_and_the_verdict_is_whole(
    before: dict[str, Any], after: dict[str, Any], observation: Any, completion: str
) -> None:
    for variant in VARIANTS:
        found = score_published(before, after, observation, completion, variant)
        assert found.dropped == (found.config_match is None) == (found.feedback_match is None)
        assert found == score_published(before, after, observation, completion, variant)


def test_an_unknown_variant_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown variant 'other'"):
        score_published({}, {}, "", "{}", "other")  # type: ignore[arg-type]


def test_the_departures_are_named_once_each() -> None:
    names = [departure.name for departure in DEPARTURES]
    assert len(set(names)) == len(names) > 10
    assert all(departure.explanation for departure in DEPARTURES)
