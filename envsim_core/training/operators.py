"""Operators: where DeepSpeed's compiled operators lie, and what a killed compiler left there."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
from collections.abc import Iterator
from pathlib import Path

from envsim_core.training.stacks import LOCK, ROOT, Stack

FOLDER = ".cache/torch_extensions"
BATON = "lock"  # of torch.utils.cpp_extension, in the folder of each operator


def operators_folder(stack: Stack, root: Path = ROOT) -> Path:
    """Where a stack's operators lie: kept between trainings, made anew for other packages."""
    versions = hashlib.sha256((root / LOCK).read_bytes()).hexdigest()[:12]
    return root / FOLDER / f"{stack.name}-{versions}"


@contextlib.contextmanager
def ready_operators(folder: Path) -> Iterator[None]:
    """While the block runs, its program may compile and use the operators in `folder`.

    A compiler that was killed leaves its lock file, and whoever needs that operator then waits for ever. Where nobody
    else uses the folder, such files are removed first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".users", "ab") as handle:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in folder.glob(f"*/{BATON}"):
                left.unlink()
        fcntl.flock(handle, fcntl.LOCK_SH)  # left by the kernel with the process, however that ends
        yield
