"""A Compute Engine on loopback: firewall rules, operations and permissions, judged by Google's own description.

By hand, since the description doesn't say it: an ingress rule without sources lets in 0.0.0.0/0; families don't
mix; name, direction and network don't change; PATCH replaces arrays whole, PUT resets what it doesn't name.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from ipsync.sandbox import gcp_schema
from ipsync.sandbox.faults import Call, Calls, Faults, Kind

NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
READS = {"firewalls.get", "firewalls.list", "firewalls.testIamPermissions", "networks.get", "projects.get"}
READS |= {"globalOperations.get", "globalOperations.list", "globalOperations.wait", "testIamPermissions"}
NEEDS = {
    "firewalls.list": "compute.firewalls.list",
    "firewalls.get": "compute.firewalls.get",
    "firewalls.insert": "compute.firewalls.create",
    "firewalls.patch": "compute.firewalls.update",
    "firewalls.update": "compute.firewalls.update",
    "firewalls.delete": "compute.firewalls.delete",
    "globalOperations.wait": "compute.globalOperations.get",
    "globalOperations.get": "compute.globalOperations.get",
}
DEFAULTS = {"priority": 1000, "disabled": False, "direction": "INGRESS", "network": "global/networks/default"}
IMMUTABLE = ("name", "direction", "network")
Body = dict[str, Any]


class Refused(Exception):
    """Google's error answer."""

    def __init__(self, status: int, reason: str, message: str, *, info: str = "") -> None:
        super().__init__(message)
        self.status, self.reason, self.info = status, reason, info


@dataclass(slots=True)
class _Operation:
    body: Body
    polls: int


@dataclass(slots=True)
class _Project:
    rules: dict[str, Body] = field(default_factory=dict)
    operations: dict[str, _Operation] = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)


class GcpCloud:
    """A context manager; `endpoint` is where it answers."""

    def __init__(self) -> None:
        self.calls_made, self.faults = Calls(), Faults()
        self.violations: list[str] = []
        self.opened: list[str] = []
        """Rules that a request opened to everybody, be it by an empty list."""
        self.max_ranges, self.operation_polls, self.quota = 256, 1, 10_000
        self.failing: list[Body] = []
        """Errors that the next operations end with, each as {"code", "message"}."""
        self._denied: set[str] = set()
        self._deleted: set[str] = set()
        self._projects: dict[str, _Project] = {}
        self._lock = threading.RLock()
        self._ids = count(1)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.cloud = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def endpoint(self) -> str:
        """Return the URL that stands for compute.googleapis.com."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def calls(self) -> list[Call]:
        """Return the calls since the last reset_calls."""
        return self.calls_made.made

    def reset_calls(self) -> None:
        """Forget the calls so far."""
        self.calls_made.clear()

    def deny(self, *permissions: str) -> None:
        """Refuse these permissions, as IAM does."""
        self._denied |= set(permissions)

    def delete_project(self, name: str) -> None:
        """Answer for this project as Google does once it is deleted: it keeps 30 days, and lets nobody at it."""
        self._deleted.add(name)

    def reset(self) -> None:
        """Begin anew: no rules, no faults, no calls."""
        self._projects.clear()
        self._denied.clear()
        self._deleted.clear()
        self.failing.clear()
        self.violations.clear()
        self.opened.clear()
        self.faults.clear()
        self.calls_made.clear()
        self.max_ranges, self.operation_polls = 256, 1

    def seed_firewall(self, project: str, body: Body) -> None:
        """Make a rule as someone else would."""
        with self._lock:
            self._project(project).rules[body["name"]] = self._whole(project, body)

    def firewalls(self, project: str) -> dict[str, Body]:
        """Return the project's rules by name."""
        with self._lock:
            return {name: dict(body) for name, body in self._project(project).rules.items()}

    # ── one request ──────────────────────────────────────────────────────

    def answer(self, verb: str, target: str, body: bytes) -> tuple[int, Body, Kind | None]:
        """Carry out one request and return status, JSON and the fault that the answer meets on its way."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        route, path = self._route(verb, parts.path)
        name = route.name if route else path.get("hand", "unknown")
        self.calls_made.add(Call(name, name not in READS, path.get("project", "")))
        fault = self.faults.take(name)
        try:
            self._trouble(fault)
            self._alive(path.get("project", ""))
            self._permitted(name)
            with self._lock:
                found = self._carry_out(name, route, path, query, body)
        except Refused as refusal:
            return refusal.status, _error(refusal), fault
        if route and route.response:
            self._judge(f"{name}: our answer", gcp_schema.faults(found, route.response))
        return 200, found, fault

    def _route(self, verb: str, path: str) -> tuple[gcp_schema.Route | None, dict[str, str]]:
        for route in gcp_schema.routes():
            match = route.pattern.fullmatch(path)
            if match and route.verb == verb:
                return route, match.groupdict()
        hand = re.fullmatch(r"/v1/projects/([^/:]+):testIamPermissions", path)
        if hand and verb == "POST":  # cloudresourcemanager v1, written by hand: no document of it is used
            return None, {"project": hand[1], "hand": "testIamPermissions"}
        self.violations.append(f"no such route: {verb} {path}")
        return None, {}

    def _trouble(self, fault: Kind | None) -> None:
        if fault == "hang":
            time.sleep(self.faults.seconds)
        if fault == "throttle":
            raise Refused(403, "rateLimitExceeded", "Rate Limit Exceeded")
        if fault == "quota":
            raise Refused(403, "quotaExceeded", "Quota 'FIREWALLS' exceeded.")
        if fault == "500":
            raise Refused(503, "backendError", "Internal error. Please try again.")
        if fault == "reset-before":
            raise Refused(0, "reset", "")

    def _permitted(self, name: str) -> None:
        needed = NEEDS.get(name)
        if needed in self._denied:
            raise Refused(403, "forbidden", f"Required '{needed}' permission for this project")

    def _alive(self, project: str) -> None:
        if project in self._deleted:
            raise Refused(403, "forbidden", "Project #123456789012 has been deleted.", info="CONSUMER_INVALID")

    def _judge(self, what: str, faults: list[str]) -> None:
        self.violations += [f"{what}: {fault}" for fault in faults]

    def _carry_out(
        self, name: str, route: gcp_schema.Route | None, path: dict[str, str], query: dict[str, str], raw: bytes
    ) -> Body:
        if route is None:
            return self._by_hand(name, raw)
        unknown = query.keys() - route.parameters
        if unknown:
            self._judge(name, [f"unknown query parameter {u}" for u in unknown])
            raise Refused(400, "badRequest", f"Invalid JSON payload received. Unknown name {sorted(unknown)}")
        body = self._body(name, route, raw)
        project = self._project(path["project"])
        actions = {
            "firewalls.list": lambda: self._listed(project, path, query),
            "firewalls.get": lambda: _rule(project, path["firewall"]),
            "firewalls.insert": lambda: self._once(project, path, query, lambda: self._insert(project, path, body)),
            "firewalls.patch": lambda: self._once(project, path, query, lambda: self._patch(project, path, body)),
            "firewalls.update": lambda: self._once(project, path, query, lambda: self._put(project, path, body)),
            "firewalls.delete": lambda: self._once(project, path, query, lambda: self._delete(project, path)),
            "globalOperations.get": lambda: self._polled(project, path["operation"]),
            "globalOperations.wait": lambda: self._polled(project, path["operation"]),
        }
        if name not in actions:
            raise Refused(501, "notImplemented", f"{name} is not part of this fake")
        return actions[name]()

    def _by_hand(self, name: str, raw: bytes) -> Body:
        if name != "testIamPermissions":
            raise Refused(404, "notFound", "The requested URL was not found on this server.")
        asked = json.loads(raw)["permissions"]
        return {"permissions": [p for p in asked if p not in self._denied]}

    def _body(self, name: str, route: gcp_schema.Route, raw: bytes) -> Body:
        if not route.request:
            return {}
        try:
            body = json.loads(raw)
        except ValueError:
            raise Refused(400, "parseError", "Parse Error") from None
        faults = gcp_schema.faults(body, route.request)
        if faults:
            self._judge(name, faults)
            raise Refused(400, "badRequest", f"Invalid JSON payload received. {faults[0]}")
        return dict(body)

    # ── firewall rules ───────────────────────────────────────────────────

    def _project(self, name: str) -> _Project:
        return self._projects.setdefault(name, _Project())

    def _listed(self, project: _Project, path: dict[str, str], query: dict[str, str]) -> Body:
        size = int(query.get("maxResults", "500"))
        if not 0 <= size <= 500:  # noqa: PLR2004 - Google's bounds
            raise Refused(400, "invalid", "Invalid value for field 'maxResults'")
        start = int(query.get("pageToken", "0") or 0)
        rules = [body for _, body in sorted(project.rules.items())]
        found: Body = {"kind": "compute#firewallList", "id": f"projects/{path['project']}/global/firewalls"}
        if rules[start : start + size]:  # an empty list has no `items`
            found["items"] = rules[start : start + size]
        if len(rules) > start + size:
            found["nextPageToken"] = str(start + size)
        return found

    def _insert(self, project: _Project, path: dict[str, str], body: Body) -> str:
        name = str(body.get("name", ""))
        if name in project.rules:
            text = f"The resource 'projects/{path['project']}/global/firewalls/{name}' already exists"
            raise Refused(409, "alreadyExists", text)
        if len(project.rules) >= self.quota:
            raise Refused(403, "quotaExceeded", "Quota 'FIREWALLS' exceeded.")
        project.rules[name] = self._written(path["project"], body)
        return name

    def _patch(self, project: _Project, path: dict[str, str], body: Body) -> str:
        held = _rule(project, path["firewall"])
        _immutable(held, body)
        project.rules[path["firewall"]] = self._written(path["project"], {**held, **body})
        return path["firewall"]

    def _put(self, project: _Project, path: dict[str, str], body: Body) -> str:
        held = _rule(project, path["firewall"])
        _immutable(held, body)
        kept = {key: held[key] for key in IMMUTABLE}
        project.rules[path["firewall"]] = self._written(path["project"], {**body, **kept})
        return path["firewall"]

    def _delete(self, project: _Project, path: dict[str, str]) -> str:
        _rule(project, path["firewall"])
        del project.rules[path["firewall"]]
        return path["firewall"]

    def _written(self, project: str, body: Body) -> Body:
        """Return the rule as it will be, and note a request that opens it to everybody: Google carries it out."""
        rule = self._whole(project, body)
        if set(rule.get("sourceRanges", ())) & {"0.0.0.0/0", "::/0"}:
            self.opened.append(str(rule["name"]))
        return rule

    def _whole(self, project: str, body: Body) -> Body:
        """Return the rule as Google stores it, or refuse it."""
        rule = {**DEFAULTS, **{k: v for k, v in body.items() if v is not None}}
        if not NAME.fullmatch(str(rule.get("name", ""))):
            raise Refused(400, "invalid", f"Invalid value for field 'resource.name': '{rule.get('name')}'")
        if bool(rule.get("allowed")) == bool(rule.get("denied")):
            raise Refused(400, "invalid", "Exactly one of allowed or denied must be specified.")
        if len(rule.get("description", "")) > 2048:  # noqa: PLR2004 - Google's bound
            raise Refused(400, "invalid", "Invalid value for field 'resource.description': too long")
        if rule.get("targetTags") and rule.get("targetServiceAccounts"):
            raise Refused(400, "invalid", "Target tags and target service accounts can't be mixed.")
        self._check_ranges(rule)
        url = f"https://www.googleapis.com/compute/v1/projects/{project}/global"
        network = str(rule["network"]).rpartition("/")[2]
        made = {
            "kind": "compute#firewall",
            "id": str(next(self._ids)),
            "creationTimestamp": "2026-01-31T01:00:00.000-08:00",
        }
        rule = {**made, **rule, "network": f"{url}/networks/{network}", "selfLink": f"{url}/firewalls/{rule['name']}"}
        return {k: v for k, v in rule.items() if v != []}

    def _check_ranges(self, rule: Body) -> None:
        ranges = rule.get("sourceRanges") or []
        sources = ranges or rule.get("sourceTags") or rule.get("sourceServiceAccounts")
        if rule["direction"] == "INGRESS" and not sources:
            rule["sourceRanges"] = ranges = ["0.0.0.0/0"]
        if len(ranges) > self.max_ranges:
            raise Refused(400, "invalid", f"Too many source ranges: {len(ranges)}, at most {self.max_ranges}")
        versions = {_network(text).version for text in ranges}
        if len(versions) > 1:
            raise Refused(400, "invalid", "Source ranges can't mix IPv4 and IPv6.")

    # ── operations ───────────────────────────────────────────────────────

    def _once(self, project: _Project, path: dict[str, str], query: dict[str, str], change: Any) -> Body:
        """Start an operation; the same requestId gets the same one, and changes nothing twice."""
        request = query.get("requestId", "")
        if request in project.requests:
            return project.operations[project.requests[request]].body
        failure = self.failing.pop(0) if self.failing else None
        name = path.get("firewall", "") if failure else change()
        operation = f"operation-{next(self._ids)}"
        project.operations[operation] = _Operation(
            self._operation_body(path["project"], operation, name, failure), self.operation_polls
        )
        if request:
            project.requests[request] = operation
        return dict(project.operations[operation].body)

    def _operation_body(self, project: str, name: str, rule: str, failure: Body | None) -> Body:
        url = f"https://www.googleapis.com/compute/v1/projects/{project}/global"
        done = self.operation_polls == 0
        body: Body = {
            "kind": "compute#operation",
            "id": str(next(self._ids)),
            "name": name,
            "operationType": "change",
            "status": "DONE" if done else "RUNNING",
            "progress": 100 if done else 0,
            "targetLink": f"{url}/firewalls/{rule}",
            "selfLink": f"{url}/operations/{name}",
        }
        return {**body, "error": {"errors": [failure]}} if failure else body

    def _polled(self, project: _Project, name: str) -> Body:
        operation = project.operations.get(name)
        if operation is None:
            raise Refused(404, "notFound", f"The resource 'operations/{name}' was not found")
        operation.polls -= 1
        if operation.polls <= 0:
            operation.body |= {"status": "DONE", "progress": 100}
        return dict(operation.body)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise Refused(400, "invalid", f"Invalid value for field 'resource.sourceRanges': '{text}'") from None


def _rule(project: _Project, name: str) -> Body:
    if name not in project.rules:
        raise Refused(404, "notFound", f"The resource 'firewalls/{name}' was not found")
    return project.rules[name]


def _immutable(held: Body, body: Body) -> None:
    for key in IMMUTABLE:
        if key in body and str(body[key]).rpartition("/")[2] != str(held[key]).rpartition("/")[2]:
            raise Refused(400, "invalid", f"Invalid value for field 'resource.{key}': it can't be changed")


def _error(refusal: Refused) -> Body:
    item = {"message": str(refusal), "domain": "global", "reason": refusal.reason}
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": refusal.info, "domain": "googleapis.com"}
    details = {"details": [info]} if refusal.info else {}
    return {"error": {"code": refusal.status, "message": str(refusal), "errors": [item], **details}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    cloud: GcpCloud

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent about a client that went away, as a killed one does."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            status, found, fault = self.server.cloud.answer(self.command, self.path, body)
        except Exception as error:  # noqa: BLE001 - a fault of the fake must not look like a lost connection
            self.server.cloud.violations.append(f"a fault of the fake: {error!r}")
            status, found, fault = 500, _error(Refused(500, "internalError", repr(error))), None
        if fault in {"reset-before", "reset-after"}:
            self._reset()
            return
        data = json.dumps(found).encode()
        data = data[: len(data) // 2] if fault == "malformed" else data
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
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
