"""Forms of code in a prompt: a slice is shown only where it is proven, and every row says what it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from envsim_core.config import CodeForm, Limits
from envsim_core.executor import Executor
from envsim_core.records import Action, Environment, Request, Sample, Tool, content_hash, read_rows, write_rows
from envsim_core.stages.prompts import CHUNK, MAX_LOST, render_prompts

CODE = '''"""Counter: numbers that go up."""


class Counter:
    """Counts."""

    def __init__(self):
        self.value = 0
        self.unused = "words words words"

    def _next(self, by):
        return self.value + by

    def up(self, by=1):
        self.value = self._next(by)
        return {"success": True, "value": self.value}

    def down(self):
        self.value -= 1
        return {"success": True}

    def any(self, name):
        return getattr(self, name)()

    def hang(self):
        while True:
            pass
'''


def environment(code: str = CODE, class_name: str = "Counter") -> Environment:
    tool = Tool(name="up", description="Count up.", parameters={"type": "object"})
    return Environment(
        env_id="counter", domain="testing", summary="Numbers that go up.", class_name=class_name, code=code,
        code_hash=content_hash(code), tools=[tool], scenarios=[],
    )  # fmt: skip


def sample(name: str, tool: str = "up", code: str = CODE, **changes: Any) -> Sample:
    given: dict[str, Any] = {
        "sample_id": name, "env_id": "counter", "task_id": "t", "step": 1, "stratum": "delta_1", "change_count": 1,
        "code_hash": content_hash(code), "action": Action(name=tool, arguments={}),
        "observation": "{'success': True, 'value': 8}", "state_before": {"value": 7}, "state_after": {"value": 8},
    }  # fmt: skip
    return Sample(**(given | changes))


def rendered(
    folder: Path, samples: list[Sample], form: CodeForm, *environments: Environment
) -> tuple[list[Request], dict[str, Any]]:
    write_rows(folder / "environments.jsonl", environments or [environment()])
    write_rows(folder / "benchmark.jsonl", samples)
    render_prompts(
        folder / "environments.jsonl", folder / "benchmark.jsonl", folder / "requests.jsonl", folder / "slices.json",
        form, Limits(wall_s=0.3),
    )  # fmt: skip
    requests = list(read_rows(folder / "requests.jsonl", Request))
    assert [request.sample_id for request in requests] == [sample.sample_id for sample in samples]
    return requests, json.loads((folder / "slices.json").read_text())


def test_a_proven_slice_is_shown_and_counted(tmp_path: Path) -> None:
    (request,), summary = rendered(tmp_path, [sample("a")], "slice")
    question = request.messages[-1].content
    assert request.code_form == "slice"
    assert request.code_reason == ""
    assert "def up" in question and "def _next" in question and "self.value = 0" in question
    assert "def down" not in question and "unused" not in question
    assert request.code_bytes < request.full_bytes == len(CODE)
    assert "cannot reach is left out" in request.messages[0].content
    assert summary["forms"] == {"slice": 1}
    assert summary["code"]["saved_bytes"] == request.full_bytes - request.code_bytes
    assert summary["code"]["saved_tokens_estimate"] == round(summary["code"]["saved_bytes"] / 4)
    assert 0 < summary["prompt"]["median_share"] < 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"state_after": {"value": 9}}, "not provable: executing all of the code"),
        ({"observation": "something else"}, "not provable: executing all of the code"),
        ({"tool": "any", "action": Action(name="any", arguments={"name": "down"})}, "everything can be reached"),
        ({"tool": "gone"}, "no member 'gone'"),
        ({"tool": "_next"}, "is no tool"),
    ],
)
def test_what_is_not_proven_shows_all_of_the_code_and_says_why(
    changes: dict[str, Any], why: str, tmp_path: Path
) -> None:
    (request, other), summary = rendered(tmp_path, [sample("a", **changes), sample("b")], "slice")
    assert request.code_form == "full"
    assert why in request.code_reason
    assert CODE in request.messages[-1].content
    assert request.code_bytes == request.full_bytes
    assert other.code_form == "slice"
    assert summary["full_because"] == {request.code_reason: 1}


def test_a_slice_that_does_something_else_than_the_whole_is_found_out(tmp_path: Path) -> None:
    # the text of a format names an attribute, which no syntax tree shows
    code = CODE.replace("by=1):\n", 'by=1):\n        by += len("{0.unused}".format(self)) - 17\n')
    state = {"value": 7}
    with Executor(code, "Counter") as executor:
        truth = executor.run(state, Action(name="up", arguments={}))
    assert truth.state_after == {"value": 8}
    (request,), _ = rendered(tmp_path, [sample("a", code=code)], "slice", environment(code))
    assert request.code_form == "full"
    assert request.code_reason == "not proven: its call ended as raised"


def test_equal_by_the_scoring_contract_is_proof_enough(tmp_path: Path) -> None:
    same: dict[str, Any] = {"observation": '{"value": 8.0, "success": true}', "state_after": {"value": 8.0}}
    (request,), _ = rendered(tmp_path, [sample("a", **same)], "slice")
    assert request.code_form == "slice"


@pytest.mark.parametrize(
    "code", ["class Counter:\n  def up(", "class Counter: '\0'", "x = '\ud800'\nclass Counter: 0", "x=" + "-" * 30_000]
)
def test_hostile_code_is_shown_as_it_is(code: str, tmp_path: Path) -> None:
    forms: tuple[CodeForm, ...] = ("slice", "tool")
    for form in forms:
        (request,), _ = rendered(tmp_path, [sample("a", code=code)], form, environment(code))
        assert request.code_form == "full"
        assert request.code_reason


def test_an_environment_that_hangs_is_given_up(tmp_path: Path) -> None:
    requests, _ = rendered(tmp_path, [sample(f"s{number}", "hang") for number in range(8)], "slice")
    assert {request.code_form for request in requests} == {"full"}
    assert sum("were killed before" in request.code_reason for request in requests) >= 8 - MAX_LOST
    assert requests[-1].code_reason == f"not proven: {MAX_LOST + 1} calls of this environment were killed before"


def test_the_tool_form_shows_the_method_alone(tmp_path: Path) -> None:
    (request,), _ = rendered(tmp_path, [sample("a")], "tool")
    assert "```python\nclass Counter:\n    def up(self, by=1):\n" in request.messages[-1].content
    assert "_next(self" not in request.messages[-1].content
    assert "is not shown" in request.messages[0].content


def test_without_code_the_tools_definition_is_shown(tmp_path: Path) -> None:
    (request,), summary = rendered(tmp_path, [sample("a")], "none")
    question = request.messages[-1].content
    assert "class Counter" not in question
    assert "Numbers that go up." in question and "Count up." in question
    assert (request.code_form, request.code_bytes) == ("none", 0)
    assert summary["code"]["median_share"] == 0


def test_full_shows_everything_and_saves_nothing(tmp_path: Path) -> None:
    (request,), summary = rendered(tmp_path, [sample("a")], "full")
    assert (request.code_form, request.code_bytes) == ("full", len(CODE))
    assert summary["prompt"]["saved_bytes"] == 0


def test_order_and_bytes_do_not_depend_on_the_chunks(tmp_path: Path) -> None:
    samples = [sample(f"s{number}", ("up", "any", "gone")[number % 3]) for number in range(CHUNK + 5)]
    requests, _ = rendered(tmp_path, samples, "tool")
    assert [request.code_form for request in requests[:4]] == ["tool", "tool", "full", "tool"]
    first = (tmp_path / "requests.jsonl").read_bytes()
    rendered(tmp_path, samples, "tool")
    assert (tmp_path / "requests.jsonl").read_bytes() == first


def test_an_odd_environment_name_does_not_stop_the_summary(tmp_path: Path) -> None:
    _, summary = rendered(tmp_path, [sample("a", env_id="\ud800\u2028")], "slice")
    assert list(summary["environments"]) == ["\ud800\u2028"]
