"""House: the rules that hold for every file, checked on every file."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from envsim_core import cli

ROOT = Path(__file__).parent.parent
TOP_LEVEL = {
    "Snakefile", "README.md", "pyproject.toml", "rules", "envsim_core", "rust", "configs", "tests", "cluster",
    "Makefile", "docs", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md",
}  # fmt: skip
MAX_LINES = 430  # "about 400"
ONE_FILE = {"published.py": 500}  # the contract wants the published semantics in one file that can be deleted
VAGUE = {"utils", "util", "helpers", "helper", "misc", "common", "tools"}
PYTHON = sorted([*(ROOT / "envsim_core").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])
RUST = sorted(path for path in (ROOT / "rust").rglob("*.rs") if "target" not in path.parts)
ROOMS = sorted(path.stem for path in (ROOT / "rules").glob("*.smk") if path.stem != "common")
PROFILES = sorted((ROOT / "cluster").glob("*/config.yaml"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def rules() -> list[tuple[str, str, str]]:
    """(room, rule, text) of every rule that runs a command."""
    found = []
    for room in ROOMS:
        text = (ROOT / f"rules/{room}.smk").read_text()
        for part in re.split(r"^ *rule ", text, flags=re.MULTILINE)[1:]:
            if "shell:" in part:
                found.append((room, part.partition(":")[0], part))
    return found


def test_the_top_level_is_as_drawn() -> None:
    tracked = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert tracked - {"results", "build", "target"} <= TOP_LEVEL | {"shared"}
    assert tracked >= TOP_LEVEL


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_a_module_says_what_it_is_for_and_is_not_too_long(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith('"""'), "the first line is a docstring that says what the file is for"
    assert text.count("\n") <= ONE_FILE.get(path.name, MAX_LINES)
    assert path.stem not in VAGUE
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", RUST, ids=name)
def test_a_rust_file_says_what_it_is_for_and_is_not_too_long(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("//!")
    assert text.count("\n") <= MAX_LINES
    assert path.stem not in VAGUE


def test_every_room_is_a_rule_file_a_stage_with_a_version_and_a_line_of_the_drawing() -> None:
    stages = {path.stem for path in (ROOT / "envsim_core/stages").glob("*.py")} - {"__init__"}
    assert stages == set(ROOMS)
    drawing = (ROOT / "docs/architecture.md").read_text()
    for room in ROOMS:
        body = ast.parse((ROOT / f"envsim_core/stages/{room}.py").read_text()).body
        assigned = [
            t.id for node in body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)
        ]
        assert "VERSION" in assigned, room
        assert f"| {room} |" in drawing


@pytest.mark.parametrize(("room", "rule", "text"), rules(), ids=lambda value: value if "\n" not in value else "")
def test_a_rule_has_what_every_rule_has_and_calls_its_namesake(room: str, rule: str, text: str) -> None:
    for part in ("output:", "log:", "benchmark:", "threads:", "mem_mb=", "runtime=", f'version=version("{room}")'):
        assert part in text, part
    assert "retries:" not in text, "retries belong to the profile: a rule's own are obeyed again inside a SLURM job"
    commands = {
        command.name or command.callback.__name__.replace("_", "-")
        for command in cli.app.registered_commands
        if command.callback
    }
    command = "evaluate" if rule == "eval_model" else rule.replace("_", "-")
    assert command in commands
    assert f"python -m envsim_core {command} " in text
    stage = ast.parse((ROOT / f"envsim_core/stages/{room}.py").read_text())
    functions = {node.name for node in stage.body if isinstance(node, ast.FunctionDef)}
    assert command.replace("-", "_") in functions


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_every_line_of_a_profile_is_explained(path: Path) -> None:
    explained = False
    for line in path.read_text().splitlines():
        if not line.strip():
            explained = False
        elif line.lstrip().startswith("#"):
            explained = True
        else:
            # a block's own key is explained by its lines, and a comment above explains what follows it at once
            assert "#" in line or explained or line.rstrip().endswith(":"), line
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_the_slurm_profile_avoids_the_known_traps() -> None:
    profile = yaml.safe_load((ROOT / "cluster/slurm/config.yaml").read_text())
    assert profile["executor"] == "slurm"
    assert profile["slurm-status-command"] == "squeue", "sacct waits for ever where accounting is off"
    assert profile["keep-going"] is True
    assert profile["retries"] >= 1
    assert profile["default-resources"]["mem_mb"] >= 1000, "a job carries two snakemakes"
    assert "cores" not in profile
    assert not any("array" in key for key in profile)


def test_pinned_snakemake_is_the_one_the_slurm_profile_was_written_for() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    comment = (ROOT / "cluster/slurm/config.yaml").read_text()
    for requirement in extras["workflow"][:2]:
        assert requirement.replace("==", " ") in comment


def test_documents_point_at_files_that_exist() -> None:
    for document in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "cluster/README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
    places = re.findall(
        r"`((?:envsim_core|configs|rules|docs|tests|rust)/[\w./]*)`", (ROOT / "CONTRIBUTING.md").read_text()
    )
    for place in places:
        assert (ROOT / place).exists(), place


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "make test" in (ROOT / "README.md").read_text()
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("make test\nmake test-train")
    subprocess.run(["bash", "-n", script], check=True)


def test_imports_point_down() -> None:
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # the tests themselves may run below make, which tells its children so
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, env=inherited | environment, capture_output=True, text=True, check=False)


def fake(folder: Path, program: str, script: str) -> str:
    """A PATH in which `program` is this script; the rest of the system stays."""
    folder.mkdir(exist_ok=True)
    (folder / program).write_text(f"#!/bin/sh\n{script}\n")
    (folder / program).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("program", "script", "expected"),
    [
        ("cargo", "echo cargo 1.63.0", "error: cargo 1.63.0 is too old, 1.89 or newer is needed"),
        ("cargo", "exit 127", "error: cargo 1.89 or newer is needed to build the scorer; install Rust from"),
        (
            "python3",
            'case "$2" in *venv*) exit 1;; *) exit 0;; esac',
            "error: python3 cannot make virtual environments",
        ),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path: Path, program: str, script: str, expected: str) -> None:
    run = make("require", PATH=fake(tmp_path / "bin", program, script), PYTHON="")
    assert run.returncode != 0
    said = [line for line in run.stderr.splitlines() if not line.startswith("make:")]
    assert len(said) == 1
    assert said[0].startswith(expected)


def test_without_a_new_enough_python_one_line_says_so(tmp_path: Path) -> None:
    for python in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        path = fake(tmp_path / "bin", python, "exit 1")
    run = make("require", PATH=path, PYTHON="")
    said = [line for line in run.stderr.splitlines() if not line.startswith("make:")]
    assert said == ["error: Python 3.11 or newer is needed (Debian 12: apt-get install python3 python3-venv)"]


def test_profiles_are_linked_once_and_never_over_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "snakemake"
    (folder / "slurm").mkdir(parents=True)
    (folder / "slurm/config.yaml").write_text("jobs: 1\n")
    first, second = (make("profiles", XDG_CONFIG_HOME=str(tmp_path)) for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert (folder / "local").resolve() == ROOT / "cluster/local"
    assert (folder / "gpu/config.yaml").read_text() == (ROOT / "cluster/gpu/config.yaml").read_text()
    assert (folder / "slurm/config.yaml").read_text() == "jobs: 1\n"
    assert "slurm is not ours" in first.stderr
    assert second.stdout.count("there already") == 2
