"""Faults: a server that fails a share of its calls in every way that was seen, the same calls for the same seed."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from scripted_server import Asked, Reply, answer, error

HTML = Reply("<html><body>502 Bad Gateway</body></html>")
FAULTS = {
    "429 with a pause": error(429, "slow down", Retry_After="0.05"),
    "429 with a pause of nothing": error(429, "slow down", Retry_After="0"),
    "429 without a pause": error(429, "slow down"),
    "500": error(500, "boom"),
    "503 with a pause": error(503, "busy", Retry_After="0.05"),
    "hanging": Reply(None),
    "dropped": Reply(None),
    "body cut off": Reply('{"choices": [{"index"', claim=5000),
    "JSON cut off": Reply('{"choices": [{"index"'),
    "not JSON": HTML,
    "empty choices": Reply('{"choices": []}'),
}
FILTERED = (
    answer(None, "content_filter"),
    Reply(json.dumps({"error": {"message": "filtered", "code": "content_filter"}}), 400),
)


@dataclass
class Faults:
    """A script for ScriptedServer: each call fails with probability `share`, else it is answered, and then paid for.

    What becomes of a call depends on the seed, the question and how often it was asked, not on the order of arrival.
    One question in ten is filtered, at every share: that is a property of the question and no fault. One answer in
    ten is slow. A hanging call lasts for `hang_s` and is then dropped; `stop` ends them all.
    """

    seed: int
    share: float
    hang_s: float = 10.0
    stop: threading.Event = field(default_factory=threading.Event)
    asked: Counter[str] = field(default_factory=Counter)
    paid: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, asked: Asked, number: int) -> Reply:
        question = asked.question
        with self._lock:
            self.asked[question] += 1
            rng = Random(f"{self.seed} {question} {self.asked[question]}")
            fault = rng.choice(sorted(FAULTS)) if rng.random() < self.share else None
            if fault is None:
                self.paid[question] += 1
            else:
                self.met[fault] += 1
        if fault == "hanging":
            self.stop.wait(self.hang_s)
        if fault is not None:
            return FAULTS[fault]
        if rng.random() < 0.1:
            self.stop.wait(0.1)
        about = Random(f"{self.seed} {question}")
        return about.choice(FILTERED) if about.random() < 0.1 else answer(f"answer to {question}")
