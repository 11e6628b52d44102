"""Policies replay and explore: recorded calls are made once more; exploring finds what every tool needs."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from envsim_core.config import Collect, Config
from envsim_core.errors import BadFile, UnknownName
from envsim_core.policies import load_policy
from envsim_core.policies.arguments import Arguments
from envsim_core.policies.experience import Experience, features
from envsim_core.records import Environment, Scenario, Transition, content_hash, read_rows, write_rows
from envsim_core.stages.collect import collect_environments, collect_transitions

CODE = """
class Counter:
    def __init__(self):
        self.count = 0

    def add(self, by=1):
        self.count += by
        return {"success": True}
"""
COUNTER = Environment(
    env_id="counter",
    domain="",
    summary="",
    class_name="Counter",
    code=CODE,
    code_hash=content_hash(CODE),
    tools=[],
    scenarios=[Scenario(task_id="a", init_config={"count": 5}), Scenario(task_id="b", init_config={"count": 7})],
)


def replayed(folder: Path, calls: Path) -> list[Transition]:
    """The rows of replaying a file of calls."""
    write_rows(folder / "environments.jsonl", [COUNTER])
    config = Config.model_validate({"collect": {"policy": "replay", "calls": str(calls), "shards": 1, "steps": 1}})
    collect_transitions(folder / "environments.jsonl", 0, folder / "shards/0.jsonl", config)
    return list(read_rows(folder / "shards/0.jsonl", Transition))


def written(path: Path, *rows: Any) -> Path:
    """A JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_recorded_calls_are_made_in_their_order_however_many_they_are(tmp_path: Path) -> None:
    call: dict[str, Any] = {"env_id": "counter", "task_id": "b", "name": "add"}
    calls = [call | {"arguments": {"by": by}} for by in (1, 2, 3)]
    rows = replayed(tmp_path, written(tmp_path / "calls.jsonl", *calls))
    assert [row.state_after for row in rows] == [{"count": 8}, {"count": 10}, {"count": 13}]
    assert {row.task_id for row in rows} == {"b.0"}


def test_a_transitions_file_replays_to_itself(tmp_path: Path) -> None:
    call: dict[str, Any] = {"env_id": "counter", "name": "add", "arguments": {}}
    calls = [call | {"task_id": task} for task in ("a", "b", "a")]
    first = replayed(tmp_path, written(tmp_path / "calls.jsonl", *calls))
    assert len(first) == 3
    (tmp_path / "again").mkdir()
    kept = tmp_path / "kept.jsonl"
    write_rows(kept, first)
    assert replayed(tmp_path / "again", kept) == first


def test_calls_of_a_scenario_that_is_not_there_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calls = written(tmp_path / "calls.jsonl", {"env_id": "counter", "task_id": "zzz", "name": "add"})
    assert replayed(tmp_path, calls) == []
    assert "counter has no scenario 'zzz'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "holds no calls"),
        ("{", ":1: not JSON"),
        ("[]", ":1: is not an object"),
        ('{"env_id": "counter", "task_id": "a"}', ":1: name: is missing"),
        ('{"env_id": "counter", "task_id": "a", "name": "add", "arguments": 3}', ":1: arguments: is not an object"),
    ],
)
def test_a_wrong_file_of_calls_is_named_with_line_and_field(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(BadFile) as error:
        replayed(tmp_path, path)
    assert str(path) in str(error.value) and said in str(error.value)


def test_a_part_of_a_policy_is_no_policy() -> None:
    with pytest.raises(UnknownName) as error:
        load_policy("arguments")
    assert error.value.known == ["agent", "explore", "replay"]


def test_records_like_those_a_tool_worked_on_are_more_promising() -> None:
    experience = Experience()
    opened, closed = {"status": "open", "agent": "x"}, {"status": "closed", "agent": None}
    assert experience.weight("reply", "ticket_id", opened) == 1.0
    for _ in range(5):
        experience.note("reply", [("ticket_id", list(features(closed)))], False)
        experience.note("reply", [("ticket_id", list(features(opened)))], True)
    promise = experience.weight("reply", "ticket_id", opened) / experience.weight("reply", "ticket_id", closed)
    assert promise > 10
    assert experience.weight("reopen", "ticket_id", closed) == 1.0, "of another tool nothing is known"
    state = {"tickets": {"T-1": opened, "T-2": closed}}
    schema = {"properties": {"ticket_id": {"type": "string"}}, "required": ["ticket_id"]}

    def weight(parameter: str, record: dict[str, Any]) -> float:
        return experience.weight("reply", parameter, record)

    drawn = [Arguments(Random(seed), state, weight).draw(schema, wrong=False)["ticket_id"] for seed in range(200)]
    assert drawn.count("T-1") > 160


def test_exploring_a_help_desk_makes_every_tool_work(tmp_path: Path) -> None:
    collect = Collect(environments=["helpdesk"], shards=1)
    config = Config(collect=collect)
    collect_environments(tmp_path / "environments.jsonl", config)
    collect_transitions(tmp_path / "environments.jsonl", 0, tmp_path / "shards/0.jsonl", config)
    (environment,) = read_rows(tmp_path / "environments.jsonl", Environment)
    rows = read_rows(tmp_path / "shards/0.jsonl", Transition)
    worked = {row.action.name for row in rows if "'success': True" in (row.observation or "")}
    assert worked == {tool.name for tool in environment.tools}
