"""Lets the referee see the embedded clouds: each write as it is carried out there, whichever client sent it.

It looks at what moto and our Compute Engine hold before and after a write, never at what ipsync says that it sent.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from moto.ec2.models import ec2_backends

from ipsync.core.configured import Config
from ipsync.core.model import Network
from ipsync.core.report import Report
from ipsync.demo.stage import Stage
from ipsync.targets.aws.where import AwsGroups
from proof.referee import Facts, Held, Hole, Referee, Write
from proof.referee.facts import Contents
from proof.referee.marks import of_description, of_tags
from proof.referee.wanted import way_of
from proof.watch import resource_of, told

ACCOUNT = "123456789012"
"""moto's only account, whatever role is assumed."""
WRITES = ("Authorize", "Revoke", "Modify", "Update", "CreateTags", "DeleteTags")


@dataclass(slots=True)
class SandboxWatch:
    """One config over the embedded clouds, with its log on disk."""

    clouds: Stage
    config: Config
    log: Path
    referee: Referee = field(default_factory=Referee)
    _lock: Any = field(default_factory=threading.Lock)

    @contextmanager
    def passing(self, now: datetime) -> Iterator[Callable[[Report], None]]:
        """Watch one pass; the caller hands in its report, or nothing where it was killed."""
        reports: list[Report] = []
        listed = tuple(ip_network(a) for a in self.clouds.feed.addresses)
        facts = Facts(
            config=self.config,
            selected=frozenset(t.name for t in self.config.targets),
            now=now,
            served={f.name: listed for f in self.config.feeds},
            naming=self._naming(),
            held=self.contents(),
            added=dict(self.referee.added),
        )
        self.referee.begin(facts)
        try:
            with self._wired():
                yield reports.append
        finally:
            self.referee.end(told(reports[0]) if reports else None, self.contents())

    def contents(self) -> dict[str, Contents]:
        """Return what the config's groups and projects hold."""
        return {**{r: {} for r in self._naming()}, **self._aws(), **self._gcp()}

    def _aws(self) -> dict[str, Contents]:
        regions = {t.where.region for t in self.config.targets if isinstance(t.where, AwsGroups)}
        return {resource: held for region in regions for resource, held in _groups(region).items()}

    def _gcp(self) -> dict[str, Contents]:
        found: dict[str, dict[str, Held]] = {}
        for project in {t.where.project for t in self.config.targets if not isinstance(t.where, AwsGroups)}:
            for name, rule in self.clouds.gcp.firewalls(project).items():
                resource = resource_of(self.config, f"gcp/{project}/{name}")
                found.setdefault(resource, {}).update(_firewall(name, rule))
        return {**found}

    def _naming(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for target in self.config.targets:
            where = target.where
            places = [f"gcp/{where.project}/{where.rule}"] if not isinstance(where, AwsGroups) else []
            places += (
                [f"aws/{ACCOUNT}/{where.region}/{g}" for g in where.groups] if isinstance(where, AwsGroups) else []
            )
            for place in places:
                found.setdefault(place, set()).add(target.name)
        return {place: frozenset(names) for place, names in found.items()}

    # ── the wires ────────────────────────────────────────────────────────

    @contextmanager
    def _wired(self) -> Iterator[None]:
        strict, gcp = self.clouds.aws._strict, self.clouds.gcp
        plain, compute = strict._forward, gcp._write

        def forward(environ: dict[str, Any], params: Mapping[str, str]) -> Any:
            if not params.get("Action", "").startswith(WRITES):
                return plain(environ, params)
            return self._watched(lambda: plain(environ, params), self._aws)

        def write(project: Any, name: str, firewall: str, request: str, body: Any) -> Any:
            place = f"gcp/{project.name}/{firewall or body.get('name')}"
            return self._watched(lambda: compute(project, name, firewall, request, body), self._gcp, place)

        strict._forward, gcp._write = forward, write  # type: ignore[method-assign]
        try:
            yield
        finally:
            strict._forward, gcp._write = plain, compute  # type: ignore[method-assign]

    def _watched(self, carry_out: Callable[[], Any], look: Callable[[], dict[str, Contents]], place: str = "") -> Any:
        """Carry out a write under its cloud's own lock, and look at nothing but that cloud: the other has a lock too."""
        before = look()
        answer = carry_out()
        after = look()
        for resource in before.keys() | after.keys():
            old, new = before.get(resource, {}), after.get(resource, {})
            if old != new:
                self._judge(Write(resource, place or resource, old, new))
        return answer

    def _judge(self, write: Write) -> None:
        with self._lock:
            records = [json.loads(line) for line in self.log.read_bytes().rpartition(b"\n")[0].splitlines()]
            intents = [r for r in records if r["event"] == "intent" and r["resource"] == write.place]
            self.referee.write(write, intents[-1] if intents else None, log=self.log)
            self.referee.answered(write, carried_out=True)


def _groups(region: str) -> dict[str, dict[str, Held]]:
    groups = [g for by_id in ec2_backends[ACCOUNT][region].groups.values() for g in by_id.values()]
    return {f"aws/{ACCOUNT}/{region}/{g.id}": {r.id: h for r in g.ingress_rules if (h := _rule(r))} for g in groups}


def _rule(rule: Any) -> Held | None:
    cidr = rule.ip_range.get("CidrIp") or rule.ip_range.get("CidrIpv6")
    if not cidr:
        return None
    ports = f"{rule.from_port}" if rule.from_port == rule.to_port else f"{rule.from_port}-{rule.to_port}"
    way = "all" if rule.ip_protocol == "-1" else f"{ports}/{rule.ip_protocol}"
    network: Network = ip_network(cidr)
    return Held(Hole(network, way), of_tags({t["key"]: t["value"] for t in rule.get_tags()}))


def _firewall(name: str, rule: Mapping[str, Any]) -> dict[str, Held]:
    ports = [f"{p}/{a['IPProtocol']}" for a in rule.get("allowed", ()) for p in a.get("ports", ())]
    ports += [a["IPProtocol"] for a in rule.get("allowed", ()) if not a.get("ports")]
    way = way_of(
        network=str(rule.get("network", "")).rpartition("/")[2],
        ports=ports,
        priority=str(rule.get("priority", 1000)),
        accounts=rule.get("targetServiceAccounts", ()),
        tags=rule.get("targetTags", ()),
    )
    networks = [ip_network(text) for text in rule.get("sourceRanges", ())]
    return {f"{name}|{n}": Held(Hole(n, way), of_description(str(rule.get("description", "")), n)) for n in networks}
