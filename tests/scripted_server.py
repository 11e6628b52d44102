"""An OpenAI-compatible server on loopback that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Reply:
    """One HTTP response; `body` None drops the connection instead, `claim` is the Content-Length to claim."""

    body: str | None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    claim: int | None = None


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: Any

    @property
    def question(self) -> str:
        return str(self.body["messages"][-1]["content"])


def answer(text: str | None, finish_reason: str = "stop") -> Reply:
    """A chat completion that says `text`."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return Reply(json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}))


def error(status: int, message: str, **headers: str) -> Reply:
    """An error as OpenAI-compatible servers write it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(json.dumps({"error": {"message": message, "code": None}}), status, named)


class ScriptedServer:
    """Runs `script(asked, number)` for each request, numbered from 0 in the order of arrival."""

    def __init__(self, script: Callable[[Asked, int], Reply]) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        outer = self
        lock, asked = threading.Lock(), self.asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def setup(self) -> None:
                with lock:
                    outer.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    number = len(asked)
                    asked.append(Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                reply = script(asked[number], number)
                if reply.body is None:
                    self.close_connection = True
                    return
                content = reply.body.encode()
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content) if reply.claim is None else reply.claim))
                self.end_headers()
                self.wfile.write(content)
                self.close_connection = self.close_connection or reply.claim is not None

            def do_GET(self) -> None:
                raise AssertionError("only chat completions are asked for")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that was killed

        self._server = Server(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
