"""Check: DeepSpeed's own reading of its configuration, before anything trains; in the stacks `train` and `rl`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

AUTO = "auto"  # the trainer's to fill in


def wrong_in(file: str) -> list[str]:
    """What is wrong with a configuration of DeepSpeed, one line each."""
    from deepspeed.runtime.config import DeepSpeedConfig
    from pydantic import ValidationError

    try:
        told = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [f"deepspeed: {file}: cannot be read: {error}"]
    if not isinstance(told, dict) or "zero_optimization" not in told:
        return [f"deepspeed: {file}: zero_optimization: is missing; without it every GPU holds the whole training"]
    try:
        DeepSpeedConfig(filled_in(told) | {"train_micro_batch_size_per_gpu": 1})
    except ValidationError as error:
        return [
            f"deepspeed: {file}: {error.title}: {'.'.join(map(str, found['loc']))}: {found['msg']}"
            for found in error.errors()
        ]
    except (ValueError, TypeError, AssertionError) as error:
        return [f"deepspeed: {file}: {str(error).strip().splitlines()[0]}"]
    return []


def filled_in(value: Any) -> Any:
    """The configuration without what the trainer fills in."""
    if isinstance(value, dict):
        return {key: filled_in(part) for key, part in value.items() if part != AUTO}
    return value


def stand_alone(port: int) -> None:
    """Let this process be a group of one: a trainer reads `deepspeed` only in a group."""
    os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    os.environ |= {"MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
