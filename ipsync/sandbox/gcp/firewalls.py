"""The rules and operations of one Compute Engine project, and what Google refuses of them.

By hand, since Google's description doesn't say it: an ingress rule without sources lets in 0.0.0.0/0; families don't
mix, nor do icmp and IPv6; name, direction and network don't change; PATCH replaces arrays whole, PUT resets what it
doesn't name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
DEFAULTS = {"priority": 1000, "disabled": False, "direction": "INGRESS", "network": "global/networks/default"}
IMMUTABLE = ("name", "direction", "network")
ICMP = {4: {"icmpv6", "58"}, 6: {"icmp", "1"}}
"""The protocols that a rule of this family of sources can't hold."""
Body = dict[str, Any]


class Refused(Exception):
    """Google's error answer."""

    def __init__(self, status: int, reason: str, message: str, *, info: str = "") -> None:
        super().__init__(message)
        self.status, self.reason, self.info = status, reason, info


@dataclass(slots=True)
class Operation:
    """A write that was taken; it is done after `polls` looks at it."""

    body: Body
    polls: int


@dataclass(slots=True)
class Project:
    """One project's rules by name, its operations by name, and the operation of each request id."""

    name: str
    ids: Iterator[int] = field(default_factory=lambda: count(1))
    max_ranges: int = 256
    rules: dict[str, Body] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return how Google writes the project's global resources."""
        return f"https://www.googleapis.com/compute/v1/projects/{self.name}/global"

    def get(self, name: str) -> Body:
        """Return a rule, or Google's 404."""
        if name not in self.rules:
            raise Refused(404, "notFound", f"The resource 'projects/{self.name}/global/firewalls/{name}' was not found")
        return self.rules[name]

    def page(self, query: dict[str, str]) -> Body:
        """Return one page of the list; an empty list has no `items`."""
        size = int(query.get("maxResults", "500"))
        if not 0 <= size <= 500:  # noqa: PLR2004 - Google's bounds
            raise Refused(400, "invalid", "Invalid value for field 'maxResults'")
        start = int(query.get("pageToken", "0") or 0)
        rules = [body for _, body in sorted(self.rules.items())]
        found: Body = {"kind": "compute#firewallList", "id": f"projects/{self.name}/global/firewalls"}
        if rules[start : start + size]:
            found["items"] = rules[start : start + size]
        if len(rules) > start + size:
            found["nextPageToken"] = str(start + size)
        return found

    # ── writes ───────────────────────────────────────────────────────────

    def insert(self, body: Body, *, quota: int) -> str:
        """Make a rule."""
        name = str(body.get("name", ""))
        if name in self.rules:
            raise Refused(
                409, "alreadyExists", f"The resource 'projects/{self.name}/global/firewalls/{name}' already exists"
            )
        if len(self.rules) >= quota:
            raise Refused(403, "quotaExceeded", f"Quota 'FIREWALLS' exceeded.  Limit: {quota:.1f} globally.")
        self._write(name, body)
        return name

    def patch(self, name: str, body: Body) -> str:
        """Change what the body names; arrays are replaced whole."""
        held = self.get(name)
        _immutable(held, body)
        self._write(name, {**held, **body})
        return name

    def put(self, name: str, body: Body) -> str:
        """Replace a rule; what the body doesn't name is reset."""
        held = self.get(name)
        _immutable(held, body)
        self._write(name, {**body, **{key: held[key] for key in IMMUTABLE}})
        return name

    def delete(self, name: str) -> str:
        """Take a rule away."""
        self.get(name)
        del self.rules[name]
        return name

    def _write(self, name: str, body: Body) -> None:
        """Store a rule, and note a request that opens it to everybody: Google carries it out."""
        self.rules[name] = rule = self.whole(body)
        if set(rule.get("sourceRanges", ())) & {"0.0.0.0/0", "::/0"}:
            self.opened.append(name)

    def whole(self, body: Body) -> Body:
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
        made = {
            "kind": "compute#firewall",
            "id": str(next(self.ids)),
            "creationTimestamp": "2026-01-31T01:00:00.000-08:00",
        }
        network = str(rule["network"]).rpartition("/")[2]
        links = {"network": f"{self.url}/networks/{network}", "selfLink": f"{self.url}/firewalls/{rule['name']}"}
        return {k: v for k, v in {**made, **rule, **links}.items() if v != []}

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
        protocols = {str(item.get("IPProtocol", "")).lower() for item in rule.get("allowed") or rule["denied"]}
        if wrong := sorted(protocols & ICMP[versions.pop()] if versions else ()):
            text = f"Invalid value for field 'resource.allowed[0].IPProtocol': '{wrong[0]}'."
            raise Refused(400, "invalid", f"{text} The protocol doesn't match the IP version of the source ranges.")

    # ── operations ───────────────────────────────────────────────────────

    def begin(self, rule: str, request: str, *, polls: int, failure: Body | None) -> Body:
        """Start the operation of a write that was taken."""
        name = f"operation-{next(self.ids)}"
        self.operations[name] = Operation(self._described(name, rule, failure, done=polls == 0), polls)
        if request:
            self.requests[request] = name
        return dict(self.operations[name].body)

    def _described(self, name: str, rule: str, failure: Body | None, *, done: bool) -> Body:
        body: Body = {
            "kind": "compute#operation",
            "id": str(next(self.ids)),
            "name": name,
            "operationType": "change",
            "status": "DONE" if done else "RUNNING",
            "progress": 100 if done else 0,
            "targetLink": f"{self.url}/firewalls/{rule}",
            "selfLink": f"{self.url}/operations/{name}",
        }
        return {**body, "error": {"errors": [failure]}} if failure else body

    def polled(self, name: str) -> Body:
        """Look at an operation: after the last of its polls it is done."""
        operation = self.operations.get(name)
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


def _immutable(held: Body, body: Body) -> None:
    for key in IMMUTABLE:
        if key in body and str(body[key]).rpartition("/")[2] != str(held[key]).rpartition("/")[2]:
            raise Refused(400, "invalid", f"Invalid value for field 'resource.{key}': it can't be changed")
