"""A loopback HTTP server that speaks for a GcpCloud, and spoils its answers where a fault says so."""

from __future__ import annotations

import json
from typing import Protocol

from ipsync.sandbox import loopback
from ipsync.sandbox.faults import Kind
from ipsync.sandbox.gcp.firewalls import Body, Refused

SHAPES: dict[str, tuple[str, bytes]] = {
    "empty-object": ("application/json", b"{}"),
    "status-object": ("application/json", b'{"status": "ok"}'),
    "other-kind": ("application/json", b'{"kind": "compute#networkList", "id": "projects/x/global/networks"}'),
    "list": ("application/json", b"[]"),
    "html": ("text/html", loopback.PAGE),
}
"""What a gateway or a proxy answers in Google's place, with 200."""


class Cloud(Protocol):
    """What the server asks of a cloud."""

    violations: list[str]

    def answer(self, verb: str, target: str, body: bytes) -> tuple[int, Body, Kind | None]:
        """Carry out one request and return status, JSON and the fault that the answer meets on its way."""


class Server(loopback.Server):
    """The server; `cloud` answers."""

    cloud: Cloud


class Handler(loopback.Handler):
    """One connection."""

    server: Server

    def _answer(self) -> None:
        body = self.received()
        try:
            status, found, fault = self.server.cloud.answer(self.command, self.path, body)
        except Exception as error:  # noqa: BLE001 - a fault of the fake must not look like a lost connection
            self.server.cloud.violations.append(f"a fault of the fake: {error!r}")
            status, found, fault = 500, error_body(Refused(500, "internalError", repr(error))), None
        if fault in {"reset-before", "reset-after"}:
            self.reset()
            return
        kind, data = SHAPES.get(str(fault), ("application/json; charset=UTF-8", json.dumps(found).encode()))
        self.send(200 if fault in SHAPES else status, kind, data[: len(data) // 2] if fault == "malformed" else data)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815 - http.server's names


def error_body(refusal: Refused) -> Body:
    """Return Google's error answer."""
    item = {"message": str(refusal), "domain": "global", "reason": refusal.reason}
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": refusal.info, "domain": "googleapis.com"}
    details = {"details": [info]} if refusal.info else {}
    return {"error": {"code": refusal.status, "message": str(refusal), "errors": [item], **details}}
