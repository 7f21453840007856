"""HTTP as far as an answering machine needs it: keep-alive, a latency, and answers that wait for nothing."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked: `headers` in lower case, as they came."""

    path: str
    headers: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What it is told, and under which name that counts."""

    operation: str
    body: bytes
    status: str = "200 OK"
    media: str = "text/xml;charset=UTF-8"


Respond = Callable[[Request], Answer]


class Connection(asyncio.Protocol):
    """One client's connection; it stays open until the client closes it."""

    def __init__(self, respond: Respond, calls: Counter[str], latency: float) -> None:
        self._respond, self._calls, self._latency = respond, calls, latency
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (request := self._next()) is not None:
            if request.path == "/calls":
                told = json.dumps(self._calls).encode()
                self._calls.clear()
                self._send(Answer("", told, media="application/json"))
                continue
            answer = self._respond(request)
            self._calls[answer.operation] += 1
            asyncio.get_running_loop().call_later(self._latency, self._send, answer)

    def _next(self) -> Request | None:
        """Take one whole request from what came, if there is one."""
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if not end:
            return None
        lowered = head.lower()
        _, found, after = lowered.partition(b"\r\ncontent-length:")
        length = int(after.split(b"\r\n", 1)[0]) if found else 0
        if len(rest) < length:
            return None
        self._data = rest[length:]
        return Request(head.split(b" ", 2)[1].decode(), lowered, rest[:length])

    def _send(self, answer: Answer) -> None:
        if self._transport.is_closing():
            return
        head = f"HTTP/1.1 {answer.status}\r\nContent-Type: {answer.media}\r\nContent-Length: {len(answer.body)}\r\n\r\n"
        self._transport.writelines([head.encode(), answer.body])


def serve(respond: Respond, latency: float) -> None:
    """Answer on a free loopback port, which is printed, until the process is ended."""
    asyncio.run(_serve(respond, latency))


async def _serve(respond: Respond, latency: float) -> None:
    calls: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(respond, calls, latency), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
