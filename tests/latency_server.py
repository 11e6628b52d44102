"""A chat server that answers every request after a fixed time, however many are in flight."""

from __future__ import annotations

import asyncio
import json
import sys

BODY = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "{}"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }
).encode()
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
LENGTH = b"content-length:"


class Connection(asyncio.Protocol):
    """One keep-alive connection; a client has one request at a time on it."""

    latency_s = 1.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.received = transport, b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        length = next(int(line[len(LENGTH) :]) for line in head.split(b"\r\n") if line.lower().startswith(LENGTH))
        if len(body) >= length:
            self.received = b""
            asyncio.get_running_loop().call_later(self.latency_s, self.respond)

    def respond(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(RESPONSE)


async def serve(latency_s: float) -> None:
    """Serve until standard input closes; the line of output is the port."""
    Connection.latency_s = latency_s
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
