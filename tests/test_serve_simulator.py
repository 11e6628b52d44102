"""`snakemake serve_simulator` and trained models in inference jobs: what is missing is trained, what is killed ends.

The workflow, its processes and signals are real; packages, trainer and servers are stand-ins.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import model_server
import openai
import pytest
import yaml
from model_server import answer, survivors
from project import ROOT, project
from serving_entries import wait_until
from stand_in_stack import installer, lines

SMALL = {
    "collect": {"scenarios_per_environment": 4, "steps": 8},
    "stratify": {"quotas": {"failure": 2, "delta_1": 4}},
    "sft": {"mixtures": {"tiny": {"rows": 20, "scenarios_per_environment": 16}}},
}
KEY = "ENVSIM_SERVE_KEY"
LONGEST_S = 500  # of one run on a machine that has other things to do

pytestmark = pytest.mark.timeout(1500)


class Workflow:
    """A folder in which nothing is trained or installed, and `snakemake` as a user calls it there."""

    def __init__(self, folder: Path) -> None:
        self.folder = project(folder)
        self.mark = model_server.mark()
        self.log = folder / "said.log"
        self.started: list[subprocess.Popen[bytes]] = []
        installer(folder)
        (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
        self.entry()

    def entry(self, **stand_in: Any) -> None:
        """Write the models file: entry `tiny`, whose server does what `stand_in` says."""
        entries = yaml.safe_load((ROOT / "configs/models.yaml").read_text())
        variables = {"STAND_IN": json.dumps(stand_in), "STAND_IN_MARK": self.mark}
        entries["tiny"] |= {"concurrency": 1, "variables": variables}
        (self.folder / "models.yaml").write_text(yaml.safe_dump(entries))

    def start(self, target: str, *config: str, **environment: str) -> subprocess.Popen[bytes]:
        inherited = {name: value for name, value in os.environ.items() if name not in (KEY, "PYTHONPATH")}
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "small.yaml", "--config"]
        command += ["size=tiny", "model=tiny", "models_file=models.yaml", *config, "--", target]
        with open(self.log, "wb") as said:
            process = subprocess.Popen(
                command, cwd=self.folder, env=inherited | environment, stdin=subprocess.DEVNULL, stdout=said,
                stderr=said, start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        return process

    def serve(self, *config: str) -> tuple[subprocess.Popen[bytes], str]:
        """`serve_simulator` once it is ready, and the address that its last line tells."""
        process = self.start("serve_simulator", "serve={port: 0}", *config)
        wait_until(lambda: "ctrl-C ends it" in self.said() or process.poll() is not None, within_s=LONGEST_S)
        last = self.said().splitlines()[-1]
        assert last.startswith('model "tiny" at http://127.0.0.1:'), self.said()
        return process, last.split()[3]

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def nothing_is_left(self) -> None:
        wait_until(lambda: not survivors(self.mark), within_s=120)


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workflow]:
    made = Workflow(tmp_path_factory.mktemp("serve"))
    yield made
    for process in made.started:
        if process.poll() is None:  # a test has failed
            os.killpg(process.pid, signal.SIGKILL)
    made.nothing_is_left()


def ask(url: str) -> str | None:
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
    messages = [{"role": "user", "content": "hello"}]
    return client.chat.completions.create(model="tiny", messages=messages).choices[0].message.content  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (["serve={host: 0.0.0.0}"], "host 0.0.0.0 can be reached from other machines: set ENVSIM_SERVE_KEY to a key"),
        (["model=balance2"], 'model "balance2" wants 1 GPU, and this machine shows 0'),
        (["model=tny"], 'no entry in models.yaml for the model "tny"; did you mean "tiny"?'),
        (["model=copy"], 'model "copy" is not served by this project'),
        (["model=", "models=[copy]"], "serve_simulator: none of `models` is trained here; say which size"),
    ],
    ids=["no key", "no GPU", "an unknown model", "a baseline", "nothing to serve"],
)
def test_what_keeps_a_model_from_being_served_is_told_before_anything_is_trained(
    workflow: Workflow, config: list[str], said: str
) -> None:
    assert workflow.start("serve_simulator", *config, CUDA_VISIBLE_DEVICES="").wait(LONGEST_S) == 1
    assert said in workflow.said()
    assert "Select jobs to execute" not in workflow.said()
    assert "InputFunctionException" not in workflow.said()


def test_a_busy_port_is_told_before_anything_is_trained(workflow: Workflow) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert workflow.start("serve_simulator", f"serve={{port: {port}}}").wait(LONGEST_S) == 1
    assert f"port {port} of 127.0.0.1 cannot be had: Address already in use" in workflow.said()
    assert "Select jobs to execute" not in workflow.said()


def test_what_is_missing_is_trained_once_and_the_model_served_every_time(workflow: Workflow) -> None:
    process, url = workflow.serve()
    assert lines(workflow.folder, "installed") == ["train"]
    assert lines(workflow.folder, "trained") == ["tiny"]
    assert ask(url) == answer([{"role": "user", "content": "hello"}])
    os.killpg(process.pid, signal.SIGINT)  # as ctrl-C at a terminal: for all of the foreground
    assert process.wait(LONGEST_S) == 0, workflow.said()
    assert not survivors(workflow.mark)
    assert "Traceback" not in workflow.said()

    process, url = workflow.serve()
    assert lines(workflow.folder, "trained") == ["tiny"]
    assert ask(url) == answer([{"role": "user", "content": "hello"}])
    beside = workflow.start("train_simulator")  # no lock is held while a model is served
    assert beside.wait(LONGEST_S) == 0, workflow.said()
    assert "Nothing to be done" in workflow.said()
    process.terminate()
    assert process.wait(LONGEST_S) == 143
    assert not survivors(workflow.mark)

    process, _ = workflow.serve()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    workflow.nothing_is_left()
    log = workflow.folder / "results/tiny/logs/serve_model/tiny.served.log"
    assert log.read_text().count("--- ") == 3, "the log of each server is kept"


def test_a_trained_model_whose_job_is_killed_leaves_no_server_and_the_next_run_goes_on(workflow: Workflow) -> None:
    if not lines(workflow.folder, "trained"):
        assert workflow.start("train_simulator").wait(LONGEST_S) == 0, workflow.said()
    completions = "results/tiny/infer/tiny/completions.jsonl"
    store = workflow.folder / completions.replace("completions", "store")

    def stored() -> list[bytes]:
        return store.read_bytes().splitlines() if store.exists() else []

    def wait_for_answers(count: int, process: subprocess.Popen[bytes]) -> None:
        wait_until(lambda: len(stored()) >= count or process.poll() is not None, within_s=LONGEST_S)

    def server() -> int:
        found = survivors(workflow.mark).items()
        return next(pid for pid, line in found if "llamafactory-cli api" in line and "watcher" not in line)

    workflow.entry(delay_s=0.2, children=True)
    for what in ("the server", "Snakemake", "Snakemake and its jobs"):
        kept = stored()
        process = workflow.start(completions)
        wait_for_answers(len(kept) + 2, process)
        if what == "the server":
            os.kill(server(), signal.SIGKILL)
            assert process.wait(LONGEST_S) == 1
            assert "its server ended while it was needed (signal SIGKILL)" in workflow.said()
        else:
            (os.kill if what == "Snakemake" else os.killpg)(process.pid, signal.SIGKILL)
            process.wait()
        workflow.nothing_is_left()
        assert stored()[: len(kept)] == kept
        assert not (workflow.folder / completions).exists(), "it was killed in the middle"
    kept = stored()
    workflow.entry()
    assert workflow.start(completions).wait(LONGEST_S) == 0, workflow.said()
    assert stored()[: len(kept)] == kept
    assert lines(workflow.folder, "trained") == ["tiny"]
    workflow.nothing_is_left()
