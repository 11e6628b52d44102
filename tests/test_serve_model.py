"""`serve-model`: a person's command that serves a model until ctrl-C, on loopback or with a key."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
from model_server import answer, survivors
from serving_entries import Project, wait_until

ROOT = Path(__file__).parent.parent
KEY = "a-key-for-clients"


@contextmanager
def served(project: Project, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    inherited = {name: value for name, value in os.environ.items() if name != "ENVSIM_SERVE_KEY"}
    command = [
        sys.executable, "-m", "envsim_core", "serve-model", "m", "--models-file", str(project.models_file),
        "--results", str(project.results), *options,
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, env=inherited | environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
        project.nothing_is_left()


def refused(project: Project, *options: str) -> str:
    with served(project, *options) as process:
        _, said = process.communicate(timeout=30)
        assert process.returncode == 1
    assert not (project.results / "logs").exists()
    return said


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.entry({"children": True})
    return made


def ask(url: str, key: str) -> str | None:
    client = openai.OpenAI(base_url=url, api_key=key, max_retries=0)
    messages = [{"role": "user", "content": "hello"}]
    return client.chat.completions.create(model="m", messages=messages).choices[0].message.content  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_model_is_served_until_it_is_asked_to_end(project: Project, number: signal.Signals) -> None:
    with served(project, "--port", "0", ENVSIM_SERVE_KEY=KEY) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r'model "m" at (http://127\.0\.0\.1:\d+/v1) \(the key in ENVSIM_SERVE_KEY\)', line)
        assert found, line
        assert ask(found[1], KEY) == answer([{"role": "user", "content": "hello"}])
        with pytest.raises(openai.AuthenticationError):
            ask(found[1], "another")
        assert not any(KEY in shown for shown in survivors(project.mark).values())
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert process.returncode == (0 if number == signal.SIGINT else 143)
        assert not survivors(project.mark)
    assert "ready after" in said
    assert KEY not in (project.results / "logs/serve_model/m.served.log").read_text()


def test_a_server_that_dies_ends_the_command_with_its_last_words(project: Project) -> None:
    with served(project, "--port", "0") as process:
        assert process.stdout is not None
        assert "(no key)" in process.stdout.readline()
        server = next(pid for pid, line in survivors(project.mark).items() if "serve" in line and "watcher" not in line)
        os.kill(server, signal.SIGKILL)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 1
    assert "ended while it was needed (signal SIGKILL)" in said


def test_nobody_else_reaches_it_without_a_key(project: Project) -> None:
    said = refused(project, "--host", "0.0.0.0")
    assert "host 0.0.0.0 can be reached from other machines: set ENVSIM_SERVE_KEY" in said


def test_what_the_key_does_not_guard_is_said(project: Project) -> None:
    with served(project, "--host", "0.0.0.0", "--port", "0", ENVSIM_SERVE_KEY=KEY) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[3]
        assert ask(url, KEY) == answer([{"role": "user", "content": "hello"}])
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert "warning: vLLM asks for the key below /v1 only" in said


def test_a_busy_port_is_told_before_anything_starts(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        said = refused(project, "--port", str(other.getsockname()[1]))
    assert "cannot be had: Address already in use; port 0 takes a free one" in said


def test_a_model_elsewhere_is_not_served_here(project: Project) -> None:
    project.models_file.write_text("m: {model: gpt, base_url: 'http://localhost:1/v1'}\n")
    assert "its entry has neither `served` nor `trained`" in refused(project)


def test_killed_it_leaves_no_server(project: Project) -> None:
    with served(project, "--port", "0") as process:
        wait_until(lambda: any("serve" in line and "watcher" not in line for line in survivors(project.mark).values()))
        process.kill()
