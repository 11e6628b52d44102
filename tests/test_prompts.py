"""Prompts say everything that a model may know, nothing of the truth, and the same bytes every time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from envsim_core.errors import BadFile
from envsim_core.prompts import hash_messages, render_messages, render_request
from envsim_core.records import Action, Environment, Request, Sample, content_hash, read_rows, write_rows
from envsim_core.stages.prompts import render_prompts

CODE = 'class Shop:\n    """Text with a fence:\n    ```python\n    """\n\n    def sell(self, item): ...\n'


def environment(code: str = CODE) -> Environment:
    return Environment(
        env_id="Shop", domain="", summary="", class_name="Shop", code=code, code_hash=content_hash(code), tools=[],
        scenarios=[],
    )  # fmt: skip


def sample(name: str = "s1", code: str = CODE) -> Sample:
    return Sample(
        sample_id=name, env_id="Shop", task_id="t", step=1, stratum="delta_1", change_count=1,
        code_hash=content_hash(code), action=Action(name="sell", arguments={"item": "Brötchen", "by": 1e16}),
        observation="the-secret-observation", state_before={"stock": {"Brötchen": 12345678901234567890}, "n": 0.1},
        state_after={"stock": {"Brötchen": "the-secret-state"}, "n": 0.1},
    )  # fmt: skip


def test_code_state_and_arguments_stand_in_the_prompt_verbatim() -> None:
    question = render_messages(environment(), sample())[-1].content
    assert CODE in question
    assert json.dumps(sample().state_before) in question
    assert json.dumps(sample().action.arguments) in question
    assert "Tool: sell" in question


def test_the_truth_does_not_stand_in_the_prompt() -> None:
    assert "the-secret" not in render_request(environment(), sample()).model_dump_json()


def test_a_fence_in_the_code_does_not_close_the_prompts_own_fence() -> None:
    question = render_messages(environment(), sample())[-1].content
    assert f"````python\n{CODE}\n````" in question


def test_the_same_sample_gives_the_same_bytes_and_the_hash_of_its_messages() -> None:
    first, second = render_request(environment(), sample()), render_request(environment(), sample())
    assert first == second
    assert first.prompt_hash == hash_messages([message.model_dump() for message in first.messages])


def test_another_state_gives_another_hash() -> None:
    other = sample().model_copy(update={"state_before": {}})
    assert render_request(environment(), sample()).prompt_hash != render_request(environment(), other).prompt_hash


def test_a_lone_surrogate_can_be_sent() -> None:
    odd = sample().model_copy(update={"state_before": {"name": "\ud800"}})
    question = render_messages(environment("x = '\ud800'"), odd)[-1].content
    assert question.encode("utf-8")
    assert r'{"name": "\ud800"}' in question


def test_requests_are_rendered_in_the_order_of_the_benchmark(tmp_path: Path) -> None:
    write_rows(tmp_path / "environments.jsonl", [environment()])
    write_rows(tmp_path / "benchmark.jsonl", [sample("b"), sample("a"), sample("c")])
    out = tmp_path / "requests.jsonl"
    assert render_prompts(tmp_path / "environments.jsonl", tmp_path / "benchmark.jsonl", out) == 3
    assert [row.sample_id for row in read_rows(out, Request)] == ["b", "a", "c"]
    first = out.read_bytes()
    render_prompts(tmp_path / "environments.jsonl", tmp_path / "benchmark.jsonl", out)
    assert out.read_bytes() == first


def test_a_sample_whose_code_is_unknown_is_named_with_its_line(tmp_path: Path) -> None:
    write_rows(tmp_path / "environments.jsonl", [environment()])
    write_rows(tmp_path / "benchmark.jsonl", [sample("a"), sample("b", code="class Other: ...")])
    with pytest.raises(BadFile, match=r'benchmark\.jsonl:2: code_hash: sample "b"'):
        render_prompts(tmp_path / "environments.jsonl", tmp_path / "benchmark.jsonl", tmp_path / "requests.jsonl")
    assert not (tmp_path / "requests.jsonl").exists()
