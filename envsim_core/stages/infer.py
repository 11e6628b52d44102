"""Infer room: chat requests in, one completion or reason per request out."""

from __future__ import annotations

from pathlib import Path

from envsim_core.backends.endpoints import Tally
from envsim_core.backends.openai_chat import complete
from envsim_core.backends.select import open_endpoint
from envsim_core.config import DEFAULT_MODELS, model_entry
from envsim_core.records import Request, read_rows

VERSION = "1"


def infer_completions(
    requests: Path,
    benchmark: Path,
    environments: Path,
    model: str,
    completions: Path,
    models_file: Path = Path(DEFAULT_MODELS),
    retries: int = 3,
    fail_fast: bool = True,
) -> Tally:
    """Ask `model` (an entry of `models_file`) every request and write `completions`, in the order of `requests`.

    Answers are kept beside it in `store.jsonl` as they arrive, and never asked for twice. `benchmark` and
    `environments` are what the project's own baselines answer from; no other model sees them. Raises UnknownName,
    BadConfig, and NothingAnswered when the server cannot be used at all (`fail_fast`).
    """
    entry = model_entry(models_file, model)
    with open_endpoint(model, entry, environments, benchmark, requests, retries) as endpoint:
        return complete(
            endpoint,
            requests=lambda: read_rows(requests, Request),
            store=completions.with_name("store.jsonl"),
            completions=completions,
            fail_fast=fail_fast,
        )
