"""A loopback HTTP server that speaks for a GcpCloud, and spoils its answers where a fault says so."""

from __future__ import annotations

import json
import socket
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from ipsync.sandbox.faults import Kind
from ipsync.sandbox.gcp.firewalls import Body, Refused

PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Corporate gateway</h1></body></html>"
SHAPES: dict[str, tuple[str, bytes]] = {
    "empty-object": ("application/json", b"{}"),
    "status-object": ("application/json", b'{"status": "ok"}'),
    "other-kind": ("application/json", b'{"kind": "compute#networkList", "id": "projects/x/global/networks"}'),
    "list": ("application/json", b"[]"),
    "html": ("text/html", PAGE),
}
"""What a gateway or a proxy answers in Google's place, with 200."""


class Cloud(Protocol):
    """What the server asks of a cloud."""

    violations: list[str]

    def answer(self, verb: str, target: str, body: bytes) -> tuple[int, Body, Kind | None]:
        """Carry out one request and return status, JSON and the fault that the answer meets on its way."""


class Server(ThreadingHTTPServer):
    """The server; `cloud` answers."""

    daemon_threads = True
    cloud: Cloud

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about a client that went away, as a killed one does."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            status, found, fault = self.server.cloud.answer(self.command, self.path, body)
        except Exception as error:  # noqa: BLE001 - a fault of the fake must not look like a lost connection
            self.server.cloud.violations.append(f"a fault of the fake: {error!r}")
            status, found, fault = 500, error_body(Refused(500, "internalError", repr(error))), None
        if fault in {"reset-before", "reset-after"}:
            self._reset()
            return
        kind, data = SHAPES.get(str(fault), ("application/json; charset=UTF-8", json.dumps(found).encode()))
        self._send(200 if fault in SHAPES else status, kind, data[: len(data) // 2] if fault == "malformed" else data)

    def _send(self, status: int, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _reset(self) -> None:
        """Close the connection with a TCP reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Stay silent."""


def error_body(refusal: Refused) -> Body:
    """Return Google's error answer."""
    item = {"message": str(refusal), "domain": "global", "reason": refusal.reason}
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": refusal.info, "domain": "googleapis.com"}
    details = {"details": [info]} if refusal.info else {}
    return {"error": {"code": refusal.status, "message": str(refusal), "errors": [item], **details}}
