"""Commands: how each kind of server is started for an entry; the key goes by the environment, never by argument."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from envsim_core.config import ServedModel, Serving
from envsim_core.errors import EnvSimError
from envsim_core.serving.process import Launch

PROGRAMS = {"vllm": "vllm", "llamafactory": "llamafactory-cli"}
# versions that were seen to start; nothing else of the two fits into one environment
PACKAGES = {"vllm": "vllm==0.32.0", "llamafactory": "llamafactory==0.9.5"}


class CannotServe(EnvSimError):
    """What an entry asks for cannot be served on this machine; said before anything is started."""


def installed_program(name: str, entry: Serving) -> Path | None:
    """The program that serves `entry` where somebody installed it: in its `environment`, or beside this Python, or on
    PATH; else None. Raises CannotServe when an environment that is named has no such program."""
    program = PROGRAMS[entry.server]
    if entry.environment is not None:
        folder = Path(entry.environment).expanduser()
        found = folder / "bin" / program
        if os.access(found, os.X_OK):
            return found.absolute()
        raise CannotServe(
            f'model "{name}": {found} is not there (`environment` in its entry); {how_to_install(entry, folder)}'
        )
    beside = Path(sys.executable).with_name(program)
    if os.access(beside, os.X_OK):
        return beside
    on_path = shutil.which(program)
    return None if on_path is None else Path(on_path).absolute()


def how_to_install(entry: Serving, folder: Path) -> str:
    """What to type for an environment with the server of `entry` in `folder`."""
    return f"install it: python3 -m venv {folder} && {folder}/bin/pip install '{PACKAGES[entry.server]}'"


def launcher(name: str, entry: Serving, weights: str, program: Path, settings: Path) -> Any:
    """A function (host, port, key) -> Launch that serves `weights` under `name`.

    `settings` is the file that LLaMA-Factory reads, written when the server is started.
    """
    if entry.server == "vllm":
        return partial(_vllm, name, entry, weights, program)
    return partial(_llamafactory, name, entry, weights, program, settings)


def _vllm(name: str, entry: Serving, weights: str, program: Path, host: str, port: int, key: str | None) -> Launch:
    given: dict[str, Any] = {
        "served_model_name": name,
        "host": host,
        "port": port,
        "revision": entry.revision if isinstance(entry, ServedModel) else None,
        "max_model_len": entry.max_model_len,
        "tensor_parallel_size": entry.gpus if entry.gpus > 1 else None,
        "chat_template": entry.template,
        "enable_prefix_caching": True,
        "generation_config": "vllm",  # the model's own file would change what the entry does not set
    }
    given |= {option.lstrip("-").replace("-", "_"): value for option, value in entry.options.items()}
    command = [str(program), "serve", weights]
    for option, value in given.items():
        command += _argument(option, value)
    return Launch(command, {**entry.variables, "VLLM_API_KEY": key}, "/health")


def _argument(option: str, value: Any) -> Iterator[str]:
    flag = option.replace("_", "-")
    if value is None:
        return
    if value is True or value is False:
        yield f"--{flag}" if value else f"--no-{flag}"
        return
    yield f"--{flag}"
    if isinstance(value, list):
        yield from map(str, value)
    else:
        yield json.dumps(value) if isinstance(value, dict) else str(value)


def _llamafactory(
    name: str, entry: Serving, weights: str, program: Path, settings: Path, host: str, port: int, key: str | None
) -> Launch:
    given: dict[str, Any] = {
        "model_name_or_path": weights,
        "template": entry.template,
        "infer_backend": "huggingface",
        "trust_remote_code": False,
    }
    if entry.sampling.max_tokens is not None:
        given["max_new_tokens"] = entry.sampling.max_tokens
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(yaml.safe_dump(given | entry.options, sort_keys=False, allow_unicode=True), encoding="utf-8")
    environment: dict[str, str | None] = {
        "API_HOST": host,  # its own default is every address of the machine, without a key
        "API_PORT": str(port),
        "API_KEY": key,
        "API_MODEL_NAME": name,
        "API_VERBOSE": "0",
    }
    if not entry.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    return Launch([str(program), "api", str(settings)], {**entry.variables, **environment}, "/v1/models")
