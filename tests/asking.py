"""Asking a scripted server a few questions, as the inference tests do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripted_server import Asked, Reply, answer

from envsim_core.backends.endpoints import Endpoint, Tally
from envsim_core.backends.openai_chat import complete
from envsim_core.prompts import hash_messages
from envsim_core.records import Completion, Message, Request, read_rows

KEY = "sk-very-secret-key"
DEAD = "http://127.0.0.1:9/v1"  # the discard port: nothing listens there


def request(number: int, text: str | None = None) -> Request:
    message = Message(role="user", content=text or f"question {number}")
    return Request(sample_id=f"s{number}", prompt_hash=hash_messages([message.model_dump()]), messages=[message])


def endpoint(base_url: str, **changes: Any) -> Endpoint:
    settings: dict[str, Any] = {
        "name": "m", "model": "served-m", "concurrency": 1, "timeout_s": 5.0, "retries": 2, "backoff_s": 0.01,
        "api_key": KEY, "api_key_env": "SOME_KEY", "identity": {"model": "served-m"},
    }  # fmt: skip
    return Endpoint(base_url=base_url, **(settings | changes))


def ask(folder: Path, to: Endpoint, count: int = 5, **options: Any) -> tuple[Tally, list[Completion]]:
    requests = [request(number) for number in range(count)]
    out = folder / "completions.jsonl"
    tally = complete(to, lambda: requests, folder / "store.jsonl", out, **options)
    return tally, list(read_rows(out, Completion))


def echo(asked: Asked, _number: int) -> Reply:
    return answer(f"answer to {asked.question}")
