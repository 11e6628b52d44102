"""Recipe: a file of configs/train/ in the trainer's own words, with a section `envsim` for this project."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator

from envsim_core.config.reading import explain, read_yaml
from envsim_core.config.section import Count, Positive, Section, Share
from envsim_core.errors import BadConfig

SECTION = "envsim"
EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")


class Scratch(Section):
    """A model of Qwen3's architecture with random weights, and a byte-level tokenizer learned from the rows."""

    vocabulary: Annotated[int, Field(ge=300)] = 700
    """Pieces that the tokenizer learns, the 256 bytes included."""
    recurring_lines: Positive = 20
    """A line that at least so many prompts hold (the task, a tool's definition) is one token of its own."""
    hidden_size: Positive = 128
    intermediate_size: Positive = 384
    layers: Positive = 3
    heads: Positive = 4
    key_value_heads: Positive = 2
    head_dim: Positive = 32
    positions: Positive = 4096
    """Longest text in tokens."""


class Pairs(Section):
    """Preferences: a model answers rows several times, and the verifier ranks its answers."""

    asked_rows: Positive = 300
    """Rows that are asked."""
    samples: Annotated[int, Field(ge=2)] = 6
    """Answers per row; the best and the worst of them make a pair."""
    margin: Annotated[float, Field(gt=0, le=1)] = 0.1
    """How much more reward the best must have, or the row makes no pair."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    max_tokens: Positive = 400
    """Longest answer in tokens."""
    batch: Positive = 8
    """Rows that are asked at once."""


class Recipe(Section):
    """What a training asks of the machine, and what it starts from when that is made here."""

    gpus: Count = 1
    """GPUs, all on one machine; 0: it runs without one."""
    gpu_memory_gb: Annotated[float, Field(gt=0)] | None = None
    """Memory that each GPU has to have."""
    processes: Positive | None = None
    """Processes that train together; null: one per GPU, without a GPU one."""
    cpus: Positive = 8
    """CPU cores of the job."""
    memory_mb: Positive = 64000
    """Main memory of the job in MB."""
    runtime_min: Positive = 1440
    """Longest run of the job in minutes."""
    partition: str | None = None
    """SLURM partition of the job; null: the profile's."""
    port: Annotated[int, Field(ge=1024, le=65535)] | None = None
    """The port at which the processes of one training meet; null: a free one."""
    variables: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the trainer: {NCCL_DEBUG: WARN}."""
    scratch: Scratch | None = None
    """Start from a model that is made here; null: from the `model_name_or_path` of the file."""
    pairs: Pairs | None = None
    """How preferences are made (`stage: dpo`)."""
    dataset: Literal["alpaca", "sharegpt"] = "alpaca"
    """Which of the two files with the same rows the trainer reads."""


class RlRecipe(Recipe):
    """What reinforcement learning asks of the machine, and what it does beside the trainer's own options."""

    reward: Literal["verifier", "published"] = "verifier"
    """The project's reward; or, for an experiment, the published harness's verdict."""
    curriculum: list[Count] = Field(default=[2, 4, 12], min_length=1)
    """The most changes that a row may have, phase by phase; the phases are equally long."""
    trained: str | None = None
    """A regular expression: only parameters in whose names it is found are trained; null: all."""
    held_out_rows: Positive = 100
    """Rows that the held-out curve is measured on, of those with no more changes than the last phase asks."""
    look_every: Positive = 20
    """Steps between two points of the held-out curve."""
    look_samples: Positive = 1
    """Answers that are sampled per held-out row, besides the most likely one."""
    look_batch: Positive = 32
    """Held-out rows that are answered at once."""
    max_kl: Annotated[float, Field(gt=0)] | None = 0.5
    """Guard: KL per token to the model it began with (measured where `beta` is above 0); more ends the training."""
    max_clipped: Share = 0.5
    """Guard: share of answers cut off at max_completion_length; more ends the training."""

    @field_validator("trained")
    @classmethod
    def _is_an_expression(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        return value


Kind = TypeVar("Kind", bound=Recipe)


def load_recipe(path: Path | str, kind: type[Kind]) -> tuple[Kind, dict[str, Any]]:
    """What a recipe file says to this project, and what it says to the trainer.

    Raises BadConfig naming file and key.
    """
    options = {key: _number(value) for key, value in read_yaml(path).items()}
    told = options.pop(SECTION, {})
    if not isinstance(told, dict):
        raise BadConfig(f"{path}: {SECTION}: expected keys and values, found {told!r}")
    try:
        return kind.model_validate(told), options
    except ValidationError as error:
        raise BadConfig("\n".join(explain(f"{path}: {SECTION}", kind, error))) from None


def _number(value: Any) -> Any:
    """`1e-4` as the number that its writer means; PyYAML takes it for a text, and trainers fail on that much later."""
    return float(value) if isinstance(value, str) and EXPONENT.fullmatch(value) else value
