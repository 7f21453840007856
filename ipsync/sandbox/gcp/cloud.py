"""A Compute Engine on loopback: firewall rules, operations, quotas and permissions, judged by Google's own description.

Rules and operations stand in firewalls.py, HTTP in http.py; here a request finds its way to them.
"""

from __future__ import annotations

import json
import re
import threading
import time
from itertools import count
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from ipsync.sandbox.faults import Call, Calls, Faults, Kind
from ipsync.sandbox.gcp import resource_manager
from ipsync.sandbox.gcp import schema as gcp_schema
from ipsync.sandbox.gcp.firewalls import Body, Project, Refused
from ipsync.sandbox.gcp.http import Handler, Server, error_body
from ipsync.sandbox.gcp.resource_manager import ResourceManager

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
    "projects.get": "compute.projects.get",
}


class GcpCloud:
    """A context manager; `endpoint` is where it answers."""

    def __init__(self) -> None:
        self.calls_made, self.faults = Calls(), Faults()
        self.resources = ResourceManager()
        self.violations: list[str] = []
        self.opened: list[str] = []
        """Rules that a request opened to everybody, be it by an empty list."""
        self.max_ranges, self.operation_polls, self.quota = 256, 1, 10_000
        self.hooks: dict[str, Any] = {}
        """By operation: what is called, with the cloud, right before it is carried out, as somebody else's hand."""
        self.failing: list[Body] = []
        """Errors that the next operations end with, each as {"code", "message"}."""
        self._denied: set[str] = set()
        self._deleted: set[str] = set()
        self._projects: dict[str, Project] = {}
        self._lock = threading.RLock()
        self._ids = count(1)
        self._server = Server(("127.0.0.1", 0), Handler)
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
        self.hooks.clear()
        self.resources.clear()
        self.max_ranges, self.operation_polls, self.quota = 256, 1, 10_000

    def seed_firewall(self, project: str, body: Body) -> None:
        """Make a rule as someone else would."""
        with self._lock:
            held = self._project(project)
            held.rules[body["name"]] = held.whole(body)

    def firewalls(self, project: str) -> dict[str, Body]:
        """Return the project's rules by name."""
        with self._lock:
            return {name: dict(body) for name, body in self._project(project).rules.items()}

    # ── one request ──────────────────────────────────────────────────────

    def answer(self, verb: str, target: str, body: bytes) -> tuple[int, Body, Kind | None]:
        """Carry out one request and return status, JSON and the fault that the answer meets on its way."""
        with self.calls_made.under_way():
            return self._answer(verb, target, body)

    def _answer(self, verb: str, target: str, body: bytes) -> tuple[int, Body, Kind | None]:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        method, folder = self.resources.method(parts.path)
        if method and verb == "GET":
            return self._listed(method, folder, query)
        route, path = self._route(verb, parts.path)
        name = route.name if route else path.get("hand", "unknown")
        self.calls_made.add(Call(name, name not in READS, path.get("project", "")))
        fault = self.faults.take(name)
        try:
            self._trouble(fault)
            self._alive(path.get("project", ""))
            self._permitted(name)
            if name in self.hooks:
                self.hooks.pop(name)(self)
            with self._lock:
                found = self._carry_out(name, route, path, query, body)
        except Refused as refusal:
            return refusal.status, error_body(refusal), fault
        if route and route.response:
            self._judge(f"{name}: our answer", gcp_schema.faults(found, route.response))
        return 200, found, fault

    def _listed(self, method: str, folder: str, query: dict[str, str]) -> tuple[int, Body, Kind | None]:
        """Answer in Resource Manager's place."""
        name = f"resources.{method}"
        self.calls_made.add(Call(name, writes=False, where=query.get("parent", folder)))
        fault = self.faults.take(name)
        try:
            self._trouble(fault)
            found = self.resources.answer(method, folder, query, self._denied)
        except Refused as refusal:
            return refusal.status, error_body(refusal), fault
        schema, document = resource_manager.SCHEMAS[method], resource_manager.DOCUMENT
        self._judge(f"{name}: our answer", gcp_schema.faults(found, schema, document=document))
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
        if name in {"firewalls.insert", "firewalls.patch", "firewalls.update", "firewalls.delete"}:
            return self._write(project, name, path.get("firewall", ""), query.get("requestId", ""), body)
        actions = {
            "firewalls.list": lambda: project.page(query),
            "firewalls.get": lambda: project.get(path["firewall"]),
            "globalOperations.get": lambda: project.polled(path["operation"]),
            "globalOperations.wait": lambda: project.polled(path["operation"]),
            "projects.get": lambda: self._described(project),
        }
        if name not in actions:
            raise Refused(501, "notImplemented", f"{name} is not part of this fake")
        return actions[name]()

    def _write(self, project: Project, name: str, firewall: str, request: str, body: Body) -> Body:
        """Carry out a write and start its operation; the same requestId gets the same one, and changes nothing twice."""
        if request in project.requests:
            return project.operations[project.requests[request]].body
        failure = self.failing.pop(0) if self.failing else None
        changes = {
            "firewalls.insert": lambda: project.insert(body, quota=self.quota),
            "firewalls.patch": lambda: project.patch(firewall, body),
            "firewalls.update": lambda: project.put(firewall, body),
            "firewalls.delete": lambda: project.delete(firewall),
        }
        rule = firewall if failure else changes[name]()
        self.opened += project.opened
        project.opened.clear()
        return project.begin(rule, request, polls=self.operation_polls, failure=failure)

    def _described(self, project: Project) -> Body:
        """Return the project, with the one quota that firewall rules count against."""
        quota = {"metric": "FIREWALLS", "limit": float(self.quota), "usage": float(len(project.rules))}
        return {"kind": "compute#project", "id": "123456789012", "name": project.name, "quotas": [quota]}

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

    # ── projects ─────────────────────────────────────────────────────────

    def _project(self, name: str) -> Project:
        project = self._projects.setdefault(name, Project(name, self._ids))
        project.max_ranges = self.max_ranges
        return project
