"""Source published: recorded calls are executed anew, and texts become floats where the recording proves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from envsim_core.config import Collect, Config
from envsim_core.errors import BadFile
from envsim_core.records import Environment, Transition, read_rows
from envsim_core.sources.published import load_environments
from envsim_core.stages.collect import collect_environments, collect_transitions

DATA = Path(__file__).parent / "data"
CODE = """
class Till:
    def __init__(self, config):
        self.drawer = 0.0

    def pay(self, amount: float) -> dict:
        self.drawer = self.drawer + amount
        return {"success": True, "drawer": self.drawer}

    def label(self) -> dict:
        return {"success": True, "version": self.version}

    def stamp(self) -> dict:
        self.stamped = object()
        return {"success": True}
"""


def row(name: str, arguments: Any, observation: str, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """A row of a benchmark file."""
    return {
        "task_info": {"env_id": "Till", "task_id": "t", "step": 1, "task": "Take money."},
        "step_detail": {
            "action": {"name": name, "arguments": arguments},
            "observation": {"type": "tool", "content": observation},
            "config_before": before,
            "config_after": after,
        },
        "env_code": CODE,
    }


PAY = row(
    "pay",
    {"amount": 0.25},
    "{'success': True, 'drawer': 12.75}",
    {"drawer": "12.5", "version": "1.10"},
    {"drawer": "12.75", "version": "1.10"},
)
LABEL = row(
    "label",
    {},
    "{'success': True, 'version': '1.10'}",
    {"drawer": "3.5", "version": "1.10"},
    {"drawer": "3.5", "version": "1.10"},
)


def loaded(tmp_path: Path, *rows: Any) -> list[Environment]:
    """The environments of a file of these rows."""
    path = tmp_path / "recorded.json"
    path.write_text(json.dumps(list(rows)))
    return load_environments(Collect(source="published", files=[str(path)], scenarios_per_environment=None), 1)


def test_a_text_is_a_float_where_the_recorded_result_proves_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (till,) = loaded(tmp_path, PAY, LABEL)
    assert [scenario.init_config for scenario in till.scenarios] == [
        {"drawer": 12.5, "version": "1.10"},  # the sum proves the drawer; the version is a text
        {"drawer": 3.5, "version": "1.10"},  # the same key in the same environment
    ]
    assert till.scenarios[0].calls[0].arguments == {"amount": 0.25}
    said = capsys.readouterr().err
    assert "2 recordings: 2 reproduced with floats repaired (some texts undecided)" in said
    assert "row 1: Till: reproduced; left as texts, nothing decides: version" in said


def test_arguments_are_repaired_with_the_state(tmp_path: Path) -> None:
    wrong = json.loads(json.dumps(PAY))
    wrong["step_detail"]["action"]["arguments"] = '{"amount": "0.25"}'
    (till,) = loaded(tmp_path, wrong)
    assert till.scenarios[0].calls[0].arguments == {"amount": 0.25}


def test_what_nothing_decides_stays_as_it_is_and_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (till,) = loaded(tmp_path, LABEL)
    assert till.scenarios[0].init_config == {"drawer": "3.5", "version": "1.10"}
    assert "left as texts, nothing decides: drawer, version" in capsys.readouterr().err


def test_what_cannot_be_reproduced_is_said_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stamp = row("stamp", {}, "{'success': True}", {"drawer": 1.5}, {"drawer": 1.5, "stamped": "?"})
    other = row("pay", {"amount": 1.0}, "{'success': True, 'drawer': 9.0}", {"drawer": 1.5}, {"drawer": 2.5})
    (till,) = loaded(tmp_path, stamp, other)
    said = capsys.readouterr().err
    assert "row 1: Till: not reproduced: call 1 (stamp) unserialisable" in said
    assert "row 2: Till: not reproduced: call 1 (pay) says" in said
    assert [scenario.task_id for scenario in till.scenarios] == ["t-1", "t-1#2"]


def trajectory(**changes: Any) -> dict[str, Any]:
    """A row of a trajectory file: a step without a state left it as it was."""
    steps = [
        {"step": 0, "config": {"drawer": "10.5", "version": "2.0"}},
        {"step": 1, "action": {"name": "label", "arguments": {}}, "observation": "{'success': True, 'version': '2.0'}"},
        {
            "step": 2,
            "action": {"name": "pay", "arguments": {"amount": "1.5"}},
            "observation": {"type": "tool", "content": "{'success': True, 'drawer': 12.0}"},
            "config": {"drawer": "12.0", "version": "2.0"},
        },
    ]
    return {"env_id": "Till", "task_id": "long", "task": "Sell.", "env_code": CODE, "trajectory": steps} | changes


def test_a_trajectory_is_one_scenario_with_all_its_calls(tmp_path: Path) -> None:
    (till,) = loaded(tmp_path, trajectory())
    (scenario,) = till.scenarios
    assert scenario.init_config == {"drawer": 10.5, "version": "2.0"}
    assert [(call.name, call.arguments) for call in scenario.calls] == [("label", {}), ("pay", {"amount": 1.5})]


def test_a_trajectory_finds_its_code_in_a_metadata_file(tmp_path: Path) -> None:
    path = tmp_path / "trajectories.jsonl"
    steps = [{"config": {"rung": 4}}, {"action": {"name": "ring", "arguments": {}}, "observation": "{'success': True}"}]
    path.write_text(json.dumps({"env_id": "env_2_bell", "task_id": "t", "steps": steps}) + "\n")
    files = [str(path), str(DATA / "envscaler_metadata.json")]
    (bell,) = load_environments(Collect(source="published", files=files), 1)
    assert bell.class_name == "Bell" and bell.tools[0].name == "ring"
    with pytest.raises(BadFile, match="knows this env_id"):
        load_environments(Collect(source="published", files=[str(path)]), 1)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([], "[0].config: is missing: the first step carries the first state"),
        ([{"action": {"name": "pay"}, "config": {}}], "is a call, but the first step carries the state"),
        ([{"config": {}}, {"observation": "x"}], "[1].action: is missing"),
        ([{"config": {}}, {"action": {"name": "pay"}}], "observation: is missing"),
        ([{"config": {}}, 3], "[1]: is not an object"),
    ],
)
def test_a_wrong_trajectory_is_named_with_row_and_field(tmp_path: Path, steps: list[Any], said: str) -> None:
    with pytest.raises(BadFile) as error:
        loaded(tmp_path, trajectory(trajectory=steps))
    assert "recorded.json: row 1" in str(error.value) and said in str(error.value)


def test_recordings_are_replayed_into_transitions_with_a_row_each(tmp_path: Path) -> None:
    path = tmp_path / "recorded.json"
    path.write_text(json.dumps([PAY, LABEL, trajectory()]))
    collect = {"source": "published", "policy": "replay", "files": [str(path)], "shards": 1, "trajectories": 3}
    config = Config.model_validate({"collect": collect})
    collect_environments(tmp_path / "environments.jsonl", config)
    collect_transitions(tmp_path / "environments.jsonl", 0, tmp_path / "shards/0.jsonl", config)
    rows = list(read_rows(tmp_path / "shards/0.jsonl", Transition))
    assert [(one.task_id, one.step, one.status) for one in rows] == [
        ("t-1.0", 1, "ok"),
        ("t-1#2.0", 1, "ok"),
        ("long.0", 1, "ok"),
        ("long.0", 2, "ok"),
    ]
    assert rows[0].state_after == {"drawer": 12.75, "version": "1.10"}
    assert rows[3].observation == "{'success': True, 'drawer': 12.0}"


def test_the_sample_of_the_published_format_is_read_whole(capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(DATA / "published_format_sample.json")]
    environments = load_environments(Collect(source="published", files=files, scenarios_per_environment=None), 1)
    assert sum(len(environment.scenarios) for environment in environments) == 71
    assert "71 recordings" in capsys.readouterr().err
