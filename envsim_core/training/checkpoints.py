"""Checkpoints: which of a trainer's folders is whole, and a finished model put in its place whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envsim_core.errors import BadFile

CHECKPOINT = re.compile(r"checkpoint-(\d+)")
STATE = "trainer_state.json"  # the trainer writes it last
SAVED = ("*.pt", "*.pth")  # what torch.save writes: zip archives, whose directory comes last
PART = re.compile(r"zero_pp_rank_(\d+)_.*optim_states\.pt$")
HEADER = 8  # bytes that hold the length of a safetensors header
KEPT = (
    "*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "tokenizer*", "vocab.json",
    "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
)  # fmt: skip


def last_checkpoint(folder: Path, processes: int = 1) -> Path | None:
    """The latest whole checkpoint in the folder of a trainer of so many processes.

    Later ones that are not whole, left by a kill, are removed.
    """
    found = [path for path in folder.glob("checkpoint-*") if CHECKPOINT.fullmatch(path.name)]
    for path in sorted(found, key=step_of, reverse=True):
        if is_whole(path, processes):
            return path
        shutil.rmtree(path)
    return None


def resumable(folder: Path, same_training: bool, processes: int = 1) -> Path | None:
    """The checkpoint to go on from. Where another training left the folder, it is emptied, and there is none."""
    if same_training:
        return last_checkpoint(folder, processes)
    shutil.rmtree(folder, ignore_errors=True)
    return None


def step_of(checkpoint: Path) -> int:
    """The number of optimizer steps at which a checkpoint was taken."""
    match = CHECKPOINT.fullmatch(checkpoint.name)
    return int(match[1]) if match else 0


def is_whole(checkpoint: Path, processes: int = 1) -> bool:
    """Whether everything of a checkpoint was written: its state, weights of their full length, each process's part."""
    try:
        state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    saved = [path for pattern in SAVED for path in checkpoint.rglob(pattern)]
    return (
        "global_step" in state
        and all(is_whole_weights(path) for path in checkpoint.glob("*.safetensors"))
        and all(zipfile.is_zipfile(path) for path in saved)
        and has_every_part(checkpoint, processes)
    )


def has_every_part(checkpoint: Path, processes: int) -> bool:
    """Whether each process left its part of a DeepSpeed checkpoint; a checkpoint of another trainer has no parts."""
    latest = checkpoint / "latest"
    if not latest.exists():
        return not any(checkpoint.glob("global_step*"))
    folder = checkpoint / latest.read_text(encoding="utf-8").strip()
    found = {int(match[1]) for path in folder.glob("*") if (match := PART.search(path.name))}
    return found == set(range(processes))


def is_whole_weights(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says."""
    try:
        with open(path, "rb") as handle:
            length = int.from_bytes(handle.read(HEADER), "little")
            header: dict[str, Any] = json.loads(handle.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        return path.stat().st_size == HEADER + length + max(ends, default=0)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def publish_model(written: Path, folder: Path) -> None:
    """Copy the model that a trainer wrote into `written` to `folder`, whole or not at all.

    Raises BadFile when what was written is no whole model.
    """
    files = sorted({path for pattern in KEPT for path in written.glob(pattern) if path.is_file()})
    weights = [path for path in files if path.suffix == ".safetensors"]
    if not weights or not (written / "config.json").is_file():
        raise BadFile(written, None, None, "the trainer left no model there")
    for path in weights:
        if not is_whole_weights(path):
            raise BadFile(path, None, None, "is cut off")
    with whole_folder(folder) as temporary:
        for path in files:
            shutil.copyfile(path, temporary / path.name)


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends well, and is removed otherwise."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        shutil.rmtree(folder, ignore_errors=True)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
