"""Source envscaler: metadata and scenarios in EnvScaler's shape become environments whose checks tell something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from envsim_core.checks import Checker
from envsim_core.config import Collect, Config, Limits
from envsim_core.errors import BadConfig, BadFile, UnknownName
from envsim_core.records import Check, Environment, Transition, read_rows
from envsim_core.sources import MissingPackage, load_source
from envsim_core.sources.envscaler import load_environments
from envsim_core.stages.collect import collect_environments, collect_transitions

DATA = Path(__file__).parent / "data"
FILES = [str(DATA / "envscaler_scenarios.json"), str(DATA / "envscaler_metadata.json")]


def settings(**changes: Any) -> Collect:
    """A configuration for the two files."""
    return Collect.model_validate({"source": "envscaler", "files": FILES} | changes)


def test_an_environment_has_its_code_tools_rules_and_scenarios() -> None:
    library, bell = load_environments(settings(), 1)
    assert [library.env_id, library.class_name, library.summary] == [
        "env_1_library",
        "LendingLibrary",
        "A small lending library.",
    ]
    assert [tool.name for tool in library.tools] == ["lend", "fine"]
    assert library.tools[0].parameters["required"] == ["book_id", "member_id"]
    assert "- A fine is half a euro." in library.introduction
    assert library.scenarios[0].task == "Lend book b.1 to member m1."
    assert bell.scenarios[0].init_config == {}, "without scenarios it starts from its constructor"


def test_a_check_that_tells_nothing_is_left_out_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    library, _ = load_environments(settings(), 1)
    assert [check.item for check in library.scenarios[0].checks] == ["The book is out."]
    said = capsys.readouterr().err
    assert "1 of 4 checks left out: true before anything was done" in said
    assert "2 of 4 checks left out: cannot be run (raised)" in said


def test_a_check_holds_when_the_task_is_done() -> None:
    library, _ = load_environments(settings(), 1)
    (check,), first = library.scenarios[0].checks, library.scenarios[0].init_config
    last = json.loads(json.dumps(first))
    last["books"]["b.1"]["out"] = True
    with Checker(Limits()) as checker:
        assert checker.holds(check, first, first) == (False, "")
        assert checker.holds(check, first, last) == (True, "")
        hostile = Check(item="", code="import os\nos._exit(3)")
        holds, why = checker.holds(hostile, first, last)
        assert holds is None and why.startswith("crashed")


def test_its_environments_are_explored_like_any_other(tmp_path: Path) -> None:
    collect = {"source": "envscaler", "files": FILES, "shards": 1, "trajectories": 1, "steps": 12}
    config = Config.model_validate({"collect": collect})
    assert collect_environments(tmp_path / "environments.jsonl", config) == 2
    assert len(list(read_rows(tmp_path / "environments.jsonl", Environment))) == 2
    collect_transitions(tmp_path / "environments.jsonl", 0, tmp_path / "shards/0.jsonl", config)
    rows = list(read_rows(tmp_path / "shards/0.jsonl", Transition))
    assert {(row.env_id, row.status) for row in rows} >= {("env_1_library", "ok"), ("env_2_bell", "ok")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "1: not JSON"),
        ("[]", "expected an object of environments"),
        ('{"e": {"env_class_code": "x"}}', "e.env_class_name: is missing"),
        ('{"e": {"env_class_code": 1, "env_class_name": "E"}}', "e.env_class_code: is not a text"),
        ('{"e": 3}', "e: is not an object"),
        ('[{"env_id": "nowhere", "task_id": "t"}]', '"nowhere" is in no metadata file'),
        ('[{"env_id": "env_2_bell", "task_id": "t", "checklist_with_func": [{}]}]', "[0].check_func: is missing"),
        ('[{"env_id": "env_2_bell", "task_id": "t", "init_config": []}, 2]', "[1]: is not an object"),
    ],
)
def test_a_wrong_file_is_named_with_entry_and_field(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(BadFile) as error:
        load_environments(settings(files=[*FILES, str(path)]), 1)
    assert str(path) in str(error.value) and said in str(error.value)


def test_a_file_that_is_not_there_a_name_that_is_not_there_and_no_file_at_all() -> None:
    with pytest.raises(BadFile, match=r"gone.json: is not there; collect.files names files, or hf://"):
        load_environments(settings(files=["gone.json"]), 1)
    with pytest.raises(UnknownName, match='did you mean "env_2_bell"'):
        load_environments(settings(environments=["env_2_bel"]), 1)
    with pytest.raises(BadConfig, match="none is named"):
        load_environments(settings(files=[]), 1)
    with pytest.raises(BadConfig, match="is not hf://datasets/OWNER/NAME"):
        load_environments(settings(files=["hf://datasets/owner"]), 1)


def test_the_hub_needs_its_package_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(MissingPackage, match="pip install huggingface_hub"):
        load_source("envscaler").source_files(settings(files=["hf://datasets/o/n/file.json"]))
