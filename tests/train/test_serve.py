"""Serve: LLaMA-Factory's real API on a small model, as `serve-model` offers it; what is killed leaves no server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
import yaml

from envsim_core.serving.process import STOP_WITHIN_S
from envsim_core.stages.train import make_base_model
from envsim_core.training.stacks import ROOT

pytestmark = pytest.mark.timeout(900)

KEY = "a-key-for-clients"
MARK = "ENVSIM_TEST_MARK"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a models file and a trained model, as a training leaves it: with random weights."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "data").mkdir()
    rows = [
        {"system": "You simulate.", "instruction": f"set a to {number}", "input": "", "output": f'{{"a": {number}}}'}
        for number in range(40)
    ]
    (folder / "data/alpaca.json").write_text(json.dumps(rows))
    make_base_model(folder / "data", ROOT / "configs/train/tiny.yaml", folder / "results/train/tiny/model", 1)
    entry = yaml.safe_load((ROOT / "configs/models.yaml").read_text())["tiny"]
    entry["sampling"] = {"temperature": 0.0, "max_tokens": 8}
    entry["variables"] = {MARK: str(folder), "OMP_NUM_THREADS": "1"}
    (folder / "models.yaml").write_text(yaml.safe_dump({"tiny": entry}))
    return folder


def command(project: Path, port: int) -> list[str]:
    return [
        sys.executable, "-m", "envsim_core", "serve-model", "tiny", "--port", str(port),
        "--models-file", str(project / "models.yaml"), "--results", str(project / "results"),
    ]  # fmt: skip


@contextmanager
def served(project: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`serve-model`, ready, and the address that it tells."""
    process = subprocess.Popen(
        command(project, 0), cwd=ROOT, env=os.environ | {"ENVSIM_SERVE_KEY": KEY}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith('model "tiny" at http://127.0.0.1:'), line
        yield process, line.split()[3]
    finally:
        process.kill()
        process.communicate()


def survivors(project: Path) -> list[str]:
    """Every living process that the server's own variables reached."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            alive = (folder / "stat").read_bytes().rpartition(b") ")[2][:1] not in (b"Z", b"X")
            if alive and f"{MARK}={project}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it ended meanwhile
            continue
    return found


def ask(url: str, key: str) -> int:
    client = openai.OpenAI(base_url=url, api_key=key, max_retries=0)
    messages = [{"role": "system", "content": "You simulate."}, {"role": "user", "content": "set a to 7"}]
    answer = client.chat.completions.create(model="tiny", messages=messages, max_tokens=8)  # type: ignore[arg-type]
    assert answer.usage is not None
    return answer.usage.completion_tokens


def test_a_trained_model_answers_who_has_the_key_until_ctrl_c(project: Path) -> None:
    with served(project) as (process, url):
        assert 0 < ask(url, KEY) <= 8
        with pytest.raises(openai.AuthenticationError) as refused:
            ask(url, "another")
        assert refused.value.status_code == 401
        port = int(url.rsplit(":", 1)[1].removesuffix("/v1"))
        with pytest.raises(ConnectionRefusedError):  # it listens at that address alone
            socket.create_connection(("127.0.0.2", port), timeout=60)

        second = subprocess.run(command(project, port), cwd=ROOT, capture_output=True, text=True)
        assert second.returncode == 1
        said = f"error: port {port} of 127.0.0.1 cannot be had: Address already in use; port 0 takes a free one\n"
        assert second.stderr == said

        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.wait() == 0
        assert time.monotonic() - began < STOP_WITHIN_S, "it ended by itself and did not have to be killed"
        assert not survivors(project)
    log = (project / "results/logs/serve_model/tiny.served.log").read_text()
    assert "Uvicorn running on http://127.0.0.1" in log
    assert KEY not in log


def test_kill_9_of_the_command_leaves_no_server(project: Path) -> None:
    with served(project) as (process, _):
        assert any("llamafactory-cli api" in line for line in survivors(project))
        process.kill()
        process.wait()
        while survivors(project):  # the test's own time limit is the only clock here
            time.sleep(0.1)
