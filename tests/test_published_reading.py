"""The published harness's two readers, its feedback, and that no answer makes either raise or run away."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_answers import VARIANTS, answer, both_variants, change, config_match, feedback_match, verdict

from envsim_core.published import (
    READERS,
    Unreadable,
    Variant,
    score_published,
)

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
