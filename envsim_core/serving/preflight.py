"""Preflight: what is wrong with a model or a machine, found before a server loads for minutes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from envsim_core.config import Serving
from envsim_core.errors import BadFile, UnknownName
from envsim_core.serving.commands import CannotServe

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json")
# what an answer depends on; other files tell of a training
MODEL_FILES = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja",
)  # fmt: skip
GPU_DEVICES = re.compile(r"nvidia\d+")
OTHER_GPUS = ("/dev/kfd", "/dev/dxg")  # AMD; NVIDIA under Windows: there, and not counted
TEMPLATE_NAME = re.compile(r"register_template\(\s*name\s*=\s*[\"']([^\"']+)[\"']")
PROBE_S = 20.0


def is_folder(weights: str) -> bool:
    """Whether `weights` means a folder and not a name on the hub."""
    return weights.startswith(("/", ".", "~")) or not HUB_NAME.fullmatch(weights) or Path(weights).is_dir()


def check_folder(name: str, folder: Path) -> None:
    """Raises CannotServe or BadFile when the folder does not hold a whole model."""
    if not folder.is_dir():
        raise CannotServe(f'model "{name}": there is no folder {folder}')
    config = folder / "config.json"
    if not config.is_file():
        raise CannotServe(f'model "{name}": {folder} is no model: it has no config.json')
    _json_object(config)
    if not any((folder / file).is_file() for file in TOKENIZERS):
        raise CannotServe(f'model "{name}": {folder} has no tokenizer (tokenizer.json or another)')
    weights = weight_files(folder)
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = _json_object(index).get("weight_map")
        if not isinstance(named, dict):
            raise BadFile(index, None, "weight_map", "names no files of weights")
        absent = sorted({str(file) for file in named.values()} - {path.name for path in weights})
        if absent:
            raise CannotServe(f'model "{name}": {folder} is incomplete: {", ".join(absent[:3])} is missing')
    if not weights:
        raise CannotServe(f'model "{name}": {folder} has no weights (*.safetensors)')
    for path in weights:
        _check_size(path)


def weight_files(folder: Path) -> list[Path]:
    """The files of weights in a model's folder."""
    return sorted([*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")])


def model_hash(folder: Path) -> str:
    """A hash of what a model's answers depend on: a model that was trained again is another one."""
    digest = hashlib.sha256()
    for path in [*(folder / file for file in MODEL_FILES if (folder / file).is_file()), *weight_files(folder)]:
        with open(path, "rb") as file:
            digest.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def check_gpus(name: str, entry: Serving) -> None:
    """Raises CannotServe when fewer GPUs are visible than the entry wants."""
    if not entry.gpus:
        return
    visible = entry.variables.get("CUDA_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES"))
    if visible is not None:
        count, where = len([one for one in visible.split(",") if one.strip()]), f"CUDA_VISIBLE_DEVICES is '{visible}'"
    elif any(map(os.path.exists, OTHER_GPUS)):
        return
    else:
        count, where = len([one for one in os.listdir("/dev") if GPU_DEVICES.fullmatch(one)]), "no /dev/nvidia*"
        where = where if not count else f"/dev has {count}"
    if count < entry.gpus:
        wants = f"{entry.gpus} GPU{'s' if entry.gpus > 1 else ''}"
        remedy = "run it where there are: --profile slurm asks for them; or server: llamafactory with gpus: 0"
        raise CannotServe(f'model "{name}" wants {wants}, and this machine shows {count} ({where}); {remedy}')


def check_memory(name: str, entry: Serving, folder: Path) -> None:
    """Raises CannotServe when the weights alone need more memory than there is."""
    need = sum(path.stat().st_size for path in weight_files(folder))
    have, what = (_gpu_memory(entry.gpus), "GPU memory") if entry.gpus else (_main_memory(), "main memory")
    if have is not None and need > have:
        sizes = f"{need / 1e9:.1f} GB of weights, and {have / 1e9:.1f} GB of {what}"
        raise CannotServe(f'model "{name}": {folder} has {sizes}; take more gpus, or a smaller or quantized model')


def check_template(name: str, entry: Serving, program: Path | None) -> None:
    """Raises UnknownName, or CannotServe for a file that is not there, when the chat template is wrong.

    LLaMA-Factory's names are read from its source, because its import takes a quarter of a minute; where the source
    cannot be found, the server itself checks the name when it loads. `program` is None where it is not installed yet.
    """
    if entry.template is None:
        return
    if entry.server == "vllm":
        if not Path(entry.template).is_file():
            raise CannotServe(f'model "{name}": there is no file {entry.template} (`template` in its entry)')
        return
    if program is None:
        return
    known = set(llamafactory_templates(program))
    if known and entry.template not in known:
        raise UnknownName(f'chat template in LLaMA-Factory for the model "{name}"', entry.template, known)


def llamafactory_templates(program: Path) -> Iterator[str]:
    """The names of chat templates in the LLaMA-Factory that `program` belongs to."""
    for source in program.parent.parent.glob("lib*/python*/site-packages/llamafactory/data/template.py"):
        yield from TEMPLATE_NAME.findall(source.read_text(encoding="utf-8", errors="replace"))


def check_port(host: str, port: int) -> None:
    """Raises CannotServe when the port cannot be had."""
    if not port:
        return
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((host, port))
    except OSError as error:
        why = error.strerror or str(error)
        raise CannotServe(f"port {port} of {host} cannot be had: {why}; port 0 takes a free one") from None


def _json_object(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BadFile(path, None, None, f"cannot be read as JSON ({type(error).__name__}); is it whole?") from None
    if not isinstance(value, dict):
        raise BadFile(path, None, None, "is not a JSON object")
    return value


def _check_size(path: Path) -> None:
    """A file that was cut off is shorter than its own head says."""
    size = path.stat().st_size
    if path.suffix != ".safetensors":
        if not size:
            raise BadFile(path, None, None, "is empty; copy or train the model again")
        return
    with open(path, "rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        try:
            tensors = json.loads(file.read(length)) if length < size else {}
            ends = [entry["data_offsets"][1] for key, entry in tensors.items() if key != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            ends = [size]
    if 8 + length + max(ends, default=0) != size:
        raise BadFile(path, None, None, "is not a whole safetensors file; copy or train the model again")


def _gpu_memory(gpus: int) -> int | None:
    """Bytes of memory of that many GPUs of this machine; None where nobody tells."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=True).stdout
        sizes = sorted((int(line) for line in told.split()), reverse=True)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return sum(sizes[:gpus]) * 1024 * 1024


def _main_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
