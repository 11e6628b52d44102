"""Contributing: the worked examples of CONTRIBUTING.md are run as they stand there."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from envsim_core import policies, sources
from envsim_core.config import Config
from envsim_core.errors import BadFile
from envsim_core.records import Environment, Transition, read_rows
from envsim_core.sources import builtin, load_source
from envsim_core.stages.collect import collect_environments, collect_transitions

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")


def example(path: str) -> str:
    """The code block that is said to be the whole of a file."""
    found = re.search(rf"The whole of `{re.escape(path)}`.*?```python\n(.*?)```", TEXT, re.DOTALL)
    assert found, path
    return found[1]


def collected(folder: Path, collect: dict[str, object]) -> tuple[list[Environment], list[Transition]]:
    """What collect makes of a configuration."""
    config = Config.model_validate({"collect": {"shards": 1} | collect})
    collect_environments(folder / "environments.jsonl", config)
    collect_transitions(folder / "environments.jsonl", 0, folder / "shards/0.jsonl", config)
    rows = list(read_rows(folder / "shards/0.jsonl", Transition))
    return list(read_rows(folder / "environments.jsonl", Environment)), rows


def test_the_environment_of_the_example_is_explored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "parking.py").write_text(example("parking.py"))
    monkeypatch.setattr(builtin, "FOLDER", tmp_path)
    (parking,), rows = collected(tmp_path, {"scenarios_per_environment": 2, "trajectories": 1})
    assert [tool.name for tool in parking.tools] == ["enter", "leave", "free"]
    assert parking.summary.startswith("Parking:") and parking.domain == "mobility"
    assert {row.status for row in rows} == {"ok"}
    worked = {row.action.name for row in rows if row.observation and "'success': True" in row.observation}
    assert worked == {"enter", "leave", "free"}


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package with one file more."""
    (tmp_path / "listed.py").write_text(example("listed.py"))
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    yield tmp_path
    sys.modules.pop("envsim_core.sources.listed", None)


@pytest.mark.parametrize(("policy", "calls"), [("replay", 2), ("explore", 30)])
def test_the_source_of_the_example_is_one_file_and_everything_else_works(listed: Path, policy: str, calls: int) -> None:
    entry = {
        "name": "bell",
        "class": "Bell",
        "code": "class Bell:\n    def ring(self):\n        self.rung += 1\n        return {'success': True}\n",
        "tools": [{"name": "ring", "description": "Ring.", "parameters": {"type": "object", "properties": {}}}],
        "state": {"rung": 3},
        "calls": [{"name": "ring", "arguments": {}}] * 2,
    }
    (listed / "classes.json").write_text(json.dumps([entry]))
    collect = {"source": "listed", "policy": policy, "files": [str(listed / "classes.json")], "trajectories": 1}
    (bell,), rows = collected(listed, collect)
    assert bell.env_id == "bell"
    assert [row.status for row in rows] == ["ok"] * calls
    assert rows[-1].state_after == {"rung": 3 + calls}


def test_the_source_of_the_example_names_what_is_wrong(listed: Path) -> None:
    path = listed / "classes.json"
    path.write_text('[{"name": "bell"}]')
    with pytest.raises(BadFile, match=r"classes.json: an entry is no environment: KeyError\('class'\)"):
        load_source("listed").load_environments(Config.model_validate({"collect": {"files": [str(path)]}}).collect, 1)


def test_every_source_and_policy_that_is_named_in_the_documentation_can_be_loaded() -> None:
    for name in ("builtin", "envscaler", "bfcl", "published"):
        module = load_source(name)
        assert callable(module.load_environments) and callable(module.source_files)
    for name in ("explore", "replay", "agent"):
        assert callable(policies.load_policy(name).create)
