"""A stand-in for uv and what it installs: stacks whose trainer writes a model at once and whose servers are stand-ins.

`installer` puts it where a project looks for uv. Every installation and every training is a line in installed.txt and
trained.txt of the project's folder.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import model_server
import yaml
from serving_entries import model_folder


def installer(root: Path) -> None:
    """Make the uv of the project in `root` a stand-in, which needs no network."""
    folder = root / ".venv-uv"
    (folder / "bin").mkdir(parents=True)
    (folder / "envsim-stack.json").write_text("{}")
    _program(folder / "bin/uv", "uv", root)


def lines(root: Path, name: str) -> list[str]:
    """What was installed or trained."""
    path = root / f"{name}.txt"
    return path.read_text().splitlines() if path.exists() else []


def _program(path: Path, name: str, root: Path) -> None:
    here = Path(__file__)
    path.write_text(
        f'#!/bin/sh\nPYTHONPATH={here.parent}:$PYTHONPATH exec {sys.executable} {here} {name} {root} "$@"\n'
    )
    path.chmod(0o755)


def _note(root: Path, name: str, line: str) -> None:
    with open(root / f"{name}.txt", "a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def _install(root: Path, arguments: list[str]) -> None:
    folder = Path(os.environ["UV_PROJECT_ENVIRONMENT"])
    _note(root, "installed", arguments[arguments.index("--only-group") + 1])
    model_server.environment(folder)
    (folder / "bin/llamafactory-cli").rename(folder / "bin/serving-cli")
    _program(folder / "bin/llamafactory-cli", "llamafactory-cli", root)
    _program(folder / "bin/python", "python", root)


def _train(root: Path, settings: Path) -> None:
    told = yaml.safe_load(settings.read_text())
    output = Path(told["output_dir"])
    model_folder(output)
    (output / "trainer_state.json").write_text(
        json.dumps({"global_step": 1, "log_history": [{"step": 1, "loss": 2.0}]})
    )
    _note(root, "trained", output.parent.name)


def main() -> None:
    """Be the program that the first argument names."""
    name, root, *arguments = sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]
    if name == "uv":
        _install(root, arguments)
    elif name == "llamafactory-cli" and arguments[0] == "train":
        _train(root, Path(arguments[1]))
    elif name == "llamafactory-cli":
        server = root / ".venv-train/bin/serving-cli"
        os.execv(server, [str(server), *arguments])
    elif arguments[1].endswith("make_base"):
        model_folder(Path(json.loads(Path(arguments[2]).read_text())["folder"]))
        print("2 parameters")
    elif arguments[1].endswith("check_sft"):
        print(json.dumps({"wrong": []}))
    else:
        sys.exit(f"no stand-in for {arguments}")


if __name__ == "__main__":
    main()
