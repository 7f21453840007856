"""The local QA.tech: five endpoints on loopback, each judged by the API's description, each with faults on demand.

Its runners "connect" from `addresses`, and `is_open` says whether the door lets one in: the demo asks the embedded
clouds' rules. Without it every door is open.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from ipsync.sandbox import loopback
from ipsync.sandbox.faults import Call, Calls, Faults, Kind
from ipsync.sandbox.qatech import schema
from ipsync.sandbox.qatech.project import Body, Door, Project, Refused

TOKEN = "qatech-sandbox-token-0001"  # noqa: S105 - opens nothing but this fake
ROUTES = (
    ("outbound-ips", "GET", re.compile(r"/v1/outbound-ips")),
    ("run.start", "POST", re.compile(r"/v1/run")),
    ("run.get", "GET", re.compile(r"/v1/run/(?P<run>[^/]+)")),
    ("run.rerun", "POST", re.compile(r"/v1/run/(?P<run>[^/]+)")),
    ("test-cases.create", "POST", re.compile(r"/v1/test-cases")),
)
OPERATIONS = tuple(name for name, *_ in ROUTES)
_REFUSALS: dict[Kind, tuple[int, str]] = {
    "throttle": (429, "Too many requests"),
    "500": (500, "Internal server error"),
    "denied": (403, "Organization suspended"),
    "quota": (402, "Usage limit exceeded"),
}
_SHAPES: dict[Kind, tuple[str, bytes]] = {
    "empty-object": ("application/json", b"{}"),
    "status-object": ("application/json", b'{"status": "ok"}'),
    "other-kind": ("application/json", b'{"success": false, "error": "maintenance"}'),
    "list": ("application/json", b"[]"),
    "html": ("text/html", loopback.PAGE),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came in."""

    verb: str
    target: str
    token: str
    body: bytes


class Vendor:
    """A context manager; `url` is the API's base. `project` is the one that `token` opens."""

    def __init__(self, addresses: Iterable[str] = (), *, is_open: Door = lambda _: True) -> None:
        self.addresses: Sequence[str] = list(addresses)
        self.is_open = is_open
        self.token, self.project = TOKEN, Project()
        self.projects = {TOKEN: self.project}
        """By token: a token of another project opens that one, where nothing of this one is found."""
        self.faults, self.calls, self.retry_after = Faults(), Calls(), 1
        self.bodies: list[Body] = []
        """What was sent and taken, in turn."""
        self.violations: list[str] = []
        self._lock, self._closing = threading.RLock(), threading.Event()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.vendor = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Return the base of the API; the feed's address is this and `/outbound-ips`."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    # ── one request ──────────────────────────────────────────────────────

    def answer(self, asked: Asked) -> tuple[int, Body, Kind | None]:
        """Carry out one request and return status, JSON and the fault that the answer meets on its way."""
        name, run = _route(asked)
        self.calls.add(Call(name, asked.verb != "GET", run))
        fault = self.faults.take(name)
        try:
            self._trouble(fault)
            with self._lock:
                found = self._carry_out(name, run, asked)
        except Refused as refusal:
            return refusal.status, {"message": str(refusal)}, fault
        self.violations += schema.faults(schema.ANSWERS[name], found, f"{name}: our answer")
        return 200, found, fault

    def _trouble(self, fault: Kind | None) -> None:
        if fault == "hang":
            self._closing.wait(self.faults.seconds)
        if fault in _REFUSALS:
            raise Refused(*_REFUSALS[fault])
        if fault == "reset-before":
            raise Refused(0, "")

    def _carry_out(self, name: str, run: str, asked: Asked) -> Body:
        if name == "unknown":
            raise Refused(404, "Not found")
        if name == "outbound-ips":
            return {"ipAddresses": list(self.addresses)}
        project = self.projects.get(asked.token)
        if project is None:
            raise Refused(401, "Missing or invalid API key")
        if name == "run.get":
            return project.get(run, _wanted(asked), addresses=self.addresses, is_open=self.is_open)
        body = self._body(name, asked.body)
        if name == "run.rerun":
            return project.rerun(run, body)
        if name == "run.start":
            return project.start(body)
        return project.create(body)

    def _body(self, name: str, raw: bytes) -> Body:
        if not raw and name == "run.start":  # the one body that may be left out
            return {}
        try:
            body = json.loads(raw)
        except ValueError:
            raise Refused(400, "Invalid JSON") from None
        if found := schema.faults(schema.REQUESTS[name], body, "body"):
            raise Refused(400, f"Validation error: {found[0]}")
        self.bodies.append(body)
        return dict(body)


def _route(asked: Asked) -> tuple[str, str]:
    path = urlsplit(asked.target).path
    for name, verb, pattern in ROUTES:
        match = pattern.fullmatch(path)
        if match and verb == asked.verb:
            return name, match.groupdict().get("run", "")
    return "unknown", ""


def _wanted(asked: Asked) -> str | None:
    query = parse_qs(urlsplit(asked.target).query)
    wanted = query.pop("testCases", [None])[0]
    if query or wanted not in {None, "failed", "all"}:
        raise Refused(400, "Validation error: testCases must be failed or all")
    return wanted


# ── on the wire ──────────────────────────────────────────────────────────────


class Server(loopback.Server):
    """The server; `vendor` answers."""

    vendor: Vendor


class Handler(loopback.Handler):
    """One connection."""

    server: Server

    def _answer(self) -> None:
        vendor, token = self.server.vendor, self.headers.get("Authorization", "").removeprefix("Bearer ")
        status, found, fault = vendor.answer(Asked(self.command, self.path, token, self.received()))
        if fault in {"reset-before", "reset-after"}:
            self.reset()
            return
        kind, data = _SHAPES[fault] if fault in _SHAPES else ("application/json", json.dumps(found).encode())
        again = [("Retry-After", str(vendor.retry_after))] if status == 429 else []  # noqa: PLR2004 - throttled
        self.send(
            200 if fault in _SHAPES else status, kind, data[: len(data) // 2] if fault == "malformed" else data, again
        )

    do_GET = do_POST = _answer  # noqa: N815 - http.server's names
