"""Entries and inputs of the serving tests: a model folder, a stand-in server's environment, requests, and a wait."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import model_server
import yaml
from asking import request
from model_server import survivors

from envsim_core.backends.endpoints import Tally
from envsim_core.records import Completion, read_rows, write_rows
from envsim_core.stages.infer import infer_completions


def model_folder(folder: Path) -> Path:
    """A folder that looks like a whole model, with weights of 8 bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "qwen3"}')
    (folder / "tokenizer.json").write_text("{}")
    head = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + bytes(8))
    return folder


@dataclass
class Project:
    """A folder with requests, one entry of a models file, and the stand-in server that it starts."""

    folder: Path
    count: int = 12
    mark: str = field(default_factory=model_server.mark)

    def __post_init__(self) -> None:
        self.environment = model_server.environment(self.folder / "env")
        self.weights = model_folder(self.folder / "weights")
        self.requests = self.folder / "requests.jsonl"
        self.models_file = self.folder / "models.yaml"
        self.results = self.folder / "results"
        self.completions = self.results / "infer/m/completions.jsonl"
        self.store = self.completions.with_name("store.jsonl")
        self.log = self.results / "logs/serve_model/m.log"
        write_rows(self.requests, [request(number) for number in range(self.count)])

    def entry(self, stand_in: dict[str, Any] | None = None, visible: str | None = "0", **changes: Any) -> None:
        """Write the models file: entry `m`, whose server does what `stand_in` says, and whose GPU is `visible`."""
        values: dict[str, Any] = {
            "served": str(self.weights), "environment": str(self.environment), "concurrency": 2, "timeout_s": 10.0,
            "variables": {
                "STAND_IN": json.dumps(stand_in or {}), "STAND_IN_MARK": self.mark,
                **({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}),
            },
        }  # fmt: skip
        given = {key: value for key, value in (values | changes).items() if value is not None}
        self.models_file.write_text(yaml.safe_dump({"m": given}, sort_keys=False))

    def infer(self, **options: Any) -> Tally:
        nothing = self.folder / "not-there.jsonl"
        return infer_completions(
            self.requests, nothing, nothing, "m", self.completions, self.models_file, results=self.results, **options
        )

    def answers(self) -> list[str | None]:
        return [row.completion for row in read_rows(self.completions, Completion)]

    def expected(self) -> list[str]:
        return [
            model_server.answer([message.model_dump() for message in request(number).messages])
            for number in range(self.count)
        ]

    def stored(self) -> int:
        return len(self.store.read_bytes().splitlines()) if self.store.exists() else 0

    def starts(self) -> int:
        """How often a server was started."""
        return self.log.read_text().count("\n--- ") + 1 if self.log.exists() else 0

    def nothing_is_left(self) -> None:
        wait_until(lambda: not survivors(self.mark))


def wait_until(holds: Callable[[], bool], within_s: float = 30.0) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"waited {within_s:g} s"
        time.sleep(0.05)
