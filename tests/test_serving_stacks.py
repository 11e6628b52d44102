"""Stacks for serving: a server that is installed nowhere is installed on first use, and once all else is right."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from serving_entries import Project
from stand_in_stack import installer, lines

from envsim_core.backends.served import serving
from envsim_core.config import Serving, model_entry
from envsim_core.errors import EnvSimError
from envsim_core.serving import process
from envsim_core.training import stacks

LLAMAFACTORY: dict[str, Any] = {"server": "llamafactory", "template": "qwen3_nothink", "gpus": 0}
SERVERS = pytest.mark.parametrize(
    ("stack", "changes"), [("serve", {}), ("train", LLAMAFACTORY)], ids=["vllm", "llamafactory"]
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(tmp_path)
    (tmp_path / stacks.LOCK).parent.mkdir(parents=True)
    shutil.copy(stacks.ROOT / stacks.LOCK, tmp_path / stacks.LOCK)
    installer(tmp_path)
    monkeypatch.setattr(process, "ASK_EVERY_S", 0.05)
    monkeypatch.setattr(stacks, "ROOT", tmp_path)
    monkeypatch.setattr(stacks, "has_gpu", lambda: True)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # where nobody has installed a server
    return made


def refused(project: Project) -> str:
    with pytest.raises(EnvSimError) as error:
        project.infer()
    assert not lines(project.folder, "installed")
    return str(error.value)


@SERVERS
def test_a_server_that_is_installed_nowhere_is_installed_on_first_use(
    project: Project, stack: str, changes: dict[str, Any]
) -> None:
    ways = [None, str(project.folder / f".venv-{stack}")]  # left out, or named: the same
    project.entry(environment=ways[changes == LLAMAFACTORY], **changes)
    project.infer()
    assert project.answers() == project.expected()
    assert f"{project.folder}/.venv-{stack}/bin/" in project.log.read_text()
    project.completions.unlink()
    project.store.unlink()
    project.entry(environment=ways[changes != LLAMAFACTORY], **changes)
    project.infer()
    assert project.starts() == 2
    assert lines(project.folder, "installed") == [stack]
    project.nothing_is_left()


@SERVERS
def test_a_server_that_is_on_the_path_is_taken_as_it_is(
    project: Project, stack: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{project.environment}/bin:/usr/bin:/bin")
    project.entry(environment=None, **changes)
    project.infer()
    assert not lines(project.folder, "installed")
    project.nothing_is_left()


def test_a_missing_gpu_is_told_before_gigabytes_are_installed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.entry(environment=None, visible="")
    assert "wants 1 GPU, and this machine shows 0" in refused(project)
    monkeypatch.setattr(stacks, "has_gpu", lambda: False)  # one that says it is there, without a driver
    project.entry(environment=None)
    assert ".venv-serve is made on machines with an NVIDIA GPU" in refused(project)


def test_all_else_that_is_wrong_is_told_before_gigabytes_are_installed(project: Project) -> None:
    project.entry(environment=None, template=str(project.folder / "none.jinja"))
    assert "there is no file" in refused(project)
    project.entry(environment=None, served=None, trained="m")
    assert 'train "m" first' in refused(project)
    project.entry(environment=None, **LLAMAFACTORY)
    entry = model_entry(project.models_file, "m")
    assert isinstance(entry, Serving)
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(EnvSimError, match="cannot be had"),
        serving("m", entry, project.results, project.log, port=other.getsockname()[1]),
    ):
        pass
    assert not lines(project.folder, "installed")
