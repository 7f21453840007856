"""A vendor's feed on loopback that can misbehave on demand."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer as bytes on the wire, sent in pieces of `size` bytes with `delay` seconds between them, then closed."""

    data: bytes
    size: int = 65536
    delay: float = 0.0


@dataclass(slots=True)
class Request:
    """What a client sent: its first line and its headers in lower case."""

    line: str
    headers: dict[str, str] = field(default_factory=dict)


class FeedServer:
    """Serves `addresses` in QA.tech's format, or whatever `respond` or `raw` say, on 127.0.0.1."""

    def __init__(self, addresses: Iterable[str] = (), *, tls: ssl.SSLContext | None = None) -> None:
        self.addresses: Sequence[str] = list(addresses)
        self.raw: Raw | None = None
        self.requests: list[Request] = []
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        """Return the feed's address."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}/v1/outbound-ips"

    def respond(
        self,
        body: bytes = b"",
        *,
        status: str = "200 OK",
        headers: Sequence[tuple[str, str]] = (("Content-Type", "application/json"),),
        length: bool = True,
    ) -> None:
        """Answer every request like this from now on."""
        lines = [f"HTTP/1.1 {status}", *(f"{k}: {v}" for k, v in headers), "Connection: close"]
        if length:
            lines.append(f"Content-Length: {len(body)}")
        self.raw = Raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def recover(self) -> None:
        """Serve `addresses` again."""
        self.raw = None

    def whole_answer(self) -> bytes:
        """Return the bytes that a well-behaved answer has on the wire."""
        body = json.dumps({"ipAddresses": list(self.addresses)}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
        return head.encode() + b"\r\n\r\n" + body

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(60)
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._note(connection)
            self._send(connection, self.raw or Raw(self.whole_answer()))
        except OSError:
            pass  # the client left, as clients with deadlines do
        finally:
            connection.close()

    def _note(self, connection: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                return
            received += piece
        first, *rest = received.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
        pairs = (line.partition(": ") for line in rest)
        self.requests.append(Request(first, {k.lower(): v for k, _, v in pairs}))

    def _send(self, connection: socket.socket, raw: Raw) -> None:
        for start in range(0, len(raw.data), raw.size):
            connection.sendall(raw.data[start : start + raw.size])
            if raw.delay and self._stop.wait(raw.delay):
                return
