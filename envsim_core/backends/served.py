"""Backend `served`: the endpoint of a model that this project serves itself, in the job that asks it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from envsim_core.backends.endpoints import LOOPBACK as THIS_MACHINE
from envsim_core.backends.endpoints import Endpoint, keyed, remote_endpoint
from envsim_core.backends.store import CompletionStore
from envsim_core.config import ModelEntry, RemoteModel, ServedModel, Serving, TrainedModel, trained_model_dir
from envsim_core.errors import BadConfig
from envsim_core.records import JsonObject, Request, content_hash
from envsim_core.serving.commands import PROGRAMS, CannotServe, how_to_install, installed_program, launcher
from envsim_core.serving.preflight import (
    check_folder,
    check_gpus,
    check_memory,
    check_port,
    check_template,
    is_folder,
    model_hash,
)
from envsim_core.serving.process import LOOPBACK, Served, new_key, running_server
from envsim_core.training import stacks

KEY_VARIABLE = "ENVSIM_SERVE_KEY"
STACKS = {"vllm": "serve", "llamafactory": "train"}
NOT_STARTED = f"http://{LOOPBACK}:9/v1"  # the discard port: nobody is asked there
# options that decide how fast a server is or how much it holds, and not what it says
WITHOUT_EFFECT = {
    "disable_log_requests", "disable_log_stats", "disable_uvicorn_access_log", "enforce_eager",
    "gpu_memory_utilization", "max_num_batched_tokens", "max_num_seqs", "swap_space",
}  # fmt: skip


@contextmanager
def served_endpoint(
    name: str,
    entry: Serving,
    retries: int,
    results: Path,
    log: Path,
    missing: Callable[[Endpoint], bool] = lambda endpoint: True,
) -> Iterator[Endpoint]:
    """The endpoint of `entry` on a server of this process's own, for as long as the block runs.

    Where nothing is `missing` the server is not started: to load a model for no question takes minutes of a GPU.
    Raises CannotServe before anything is started, and ServerFailed with the end of the server's log.
    """
    idle = _idle_endpoint(name, entry, model_weights(name, entry, results), retries)
    if not missing(idle):
        yield idle
        return
    with serving(name, entry, results, log, api_key=new_key()) as served:
        yield replace(idle, base_url=served.base_url, api_key=served.api_key)


@contextmanager
def serving(
    name: str,
    entry: Serving,
    results: Path,
    log: Path,
    host: str = LOOPBACK,
    port: int = 0,
    api_key: str | None = None,
) -> Iterator[Served]:
    """A server of `entry` for as long as the block runs, after everything that can be checked first was checked.

    Where its program is installed nowhere, the stack that has it is made: by then only the program is missing.
    """
    weights = model_weights(name, entry, results)
    program = check_serving(name, entry, host, port)
    if is_folder(weights):
        check_memory(name, entry, Path(weights))
    if program is None:
        program = stacks.make_stack(STACKS[entry.server], stacks.ROOT).program(PROGRAMS[entry.server])
        check_template(name, entry, program)
    launch = launcher(name, entry, weights, program, log.with_suffix(".yaml"))
    with running_server(name, launch, log, entry.load_limit_s, host, port, api_key) as served:
        yield served


def check_serving(name: str, entry: Serving, host: str = LOOPBACK, port: int = 0) -> Path | None:
    """What is wrong before there are weights: GPUs, the server's program, its template, the port. Starts nothing.

    Returns the program; None where it is in a stack that has yet to be made, for which only the program is missing.
    Raises CannotServe and UnknownName.
    """
    check_gpus(name, entry)
    program = _program(name, entry)
    check_template(name, entry, program)
    check_port(host, port)
    return program


def clients_key() -> str | None:
    """The key that clients have to send of a model that is served for them; None: they need none."""
    return os.environ.get(KEY_VARIABLE) or None


def check_clients(name: str, entry: ModelEntry, host: str, port: int | None = None) -> Serving:
    """`entry`, if this project can serve it for other programs at `host`; with a `port`, if this machine can.

    Raises BadConfig, CannotServe and UnknownName.
    """
    if not isinstance(entry, Serving):
        raise BadConfig(f'model "{name}" is not served by this project: its entry has neither `served` nor `trained`')
    if clients_key() is None and host not in THIS_MACHINE:
        raise BadConfig(f"host {host} can be reached from other machines: set {KEY_VARIABLE} to a key for clients")
    if port is not None:
        check_serving(name, entry, host, port)
    return entry


def _program(name: str, entry: Serving) -> Path | None:
    """The server's program; None where it is in a stack that can be made here. Raises CannotServe."""
    stack = STACKS[entry.server]
    folder = stacks.stack_folder(stack, stacks.ROOT)
    named = entry.environment is not None and Path(entry.environment).expanduser().absolute() == folder.absolute()
    if not named and (found := installed_program(name, entry)):
        return found
    if ready := stacks.ready_stack(stack, stacks.ROOT):
        return ready.program(PROGRAMS[entry.server])
    if stack in stacks.NEEDS_GPU and not stacks.has_gpu():
        own = Path(f".venv-{entry.server}")
        raise CannotServe(
            f'model "{name}": {PROGRAMS[entry.server]} is neither beside this Python nor on PATH, and {folder.name}'
            f" is made on machines with an NVIDIA GPU and its driver alone. Elsewhere {how_to_install(entry, own)},"
            f" then `environment: {own}` in its entry"
        )
    return None


def model_weights(name: str, entry: Serving, results: Path) -> str:
    """What the server is told to load: a name on the hub, or a folder that holds a whole model.

    Raises CannotServe or BadFile naming what is missing.
    """
    if isinstance(entry, TrainedModel):
        folder = trained_model_dir(results, entry.trained)
        if not folder.is_dir():
            raise CannotServe(f'model "{name}": {folder} is not there yet: train "{entry.trained}" first')
    elif isinstance(entry, ServedModel) and not is_folder(entry.served):
        return entry.served
    else:
        assert isinstance(entry, ServedModel)  # there are two kinds
        folder = Path(entry.served).expanduser()
    check_folder(name, folder)
    return str(folder)


def unanswered(requests: Callable[[], Iterable[Request]], store: Path) -> Callable[[Endpoint], bool]:
    """A function that tells whether an endpoint has yet to answer any of these requests."""

    def missing(endpoint: Endpoint) -> bool:
        with CompletionStore(store) as answers:
            return any(key not in answers for key, _ in keyed(endpoint, requests()))

    return missing


def server_log(results: Path, completions: Path, model: str) -> Path:
    """Where the server of the job that writes `completions` logs: completions.3.jsonl is asked beside others."""
    return results / "logs" / "serve_model" / f"{model}{completions.stem.removeprefix('completions')}.log"


def _idle_endpoint(name: str, entry: Serving, weights: str, retries: int) -> Endpoint:
    """The endpoint while its server has not been started."""
    shared = {key: getattr(entry, key) for key in RemoteModel.model_fields if key in Serving.model_fields}
    remote = RemoteModel(model=name, base_url=NOT_STARTED, **shared)
    endpoint = remote_endpoint(name, remote, retries, environment={})
    place = {"base_url", "model"}
    asked = {key: value for key, value in endpoint.identity.items() if key not in place}
    return replace(endpoint, identity=asked | _identity(entry, weights))


def _identity(entry: Serving, weights: str) -> JsonObject:
    """What an answer depends on: the weights themselves, and neither address nor place."""
    revision = entry.revision if isinstance(entry, ServedModel) else None
    template = entry.template
    if entry.server == "vllm" and template is not None and Path(template).is_file():
        template = content_hash(Path(template).read_text(encoding="utf-8"))
    return {
        "model": {"sha256": model_hash(Path(weights))} if is_folder(weights) else weights,
        "revision": revision,
        "server": entry.server,
        "template": template,
        "max_model_len": entry.max_model_len,
        "options": {key: value for key, value in sorted(entry.options.items()) if key not in WITHOUT_EFFECT},
    }
