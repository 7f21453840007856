"""One small world of its own in the embedded clouds, and what must be true of it at any time and in the end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ipsync import app as worker
from ipsync import config as configs
from ipsync.audit import AuditLog, verify
from ipsync.core.contents import Contents, contents
from ipsync.core.report import exit_code
from ipsync.demo.stage import OFFICE, PROJECT, REGION, Stage
from proof.watch_sandbox import SandboxWatch

FURTHER = 2
"""Runs after the fault in which everything must be right."""
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["proof.victim"])
OLD = [f"8.8.{i}.1" for i in range(6)] + ["2600:1f14::1", "2600:1f14::2"]
NEW = [*OLD[1:], "8.9.0.1"]
LAST = [*NEW, "8.9.0.2"]
DUE = 73
"""Hours after which what the list dropped is removed."""
TWIN = f"{OLD[2]}/32"
ROLE = "arn:aws:iam::123456789012:role/ipsync"
"""With the trial's number: credentials that were got once are kept for the process."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What earlier runs have applied, and what the run to be killed finds: the list, and the hours gone by."""

    name: str
    earlier: tuple[list[str], ...]
    listed: list[str]
    hours: int
    expected: frozenset[str]
    crowded: bool = False


BEGINNINGS = (
    Beginning("nothing is there yet", (), OLD, 0, frozenset(OLD)),
    Beginning("the list changed", (OLD,), NEW, 0, frozenset([*OLD, *NEW])),
    Beginning("removals are due", (OLD, NEW), LAST, DUE, frozenset(LAST)),
    Beginning("one comes back, IPv6 goes", (OLD, OLD[1:6]), OLD[:6], DUE, frozenset(OLD[:6])),
)
CROWDED = Beginning("over a role, in a group that is nearly full", (), OLD, 0, frozenset(OLD), crowded=True)
"""Only here ipsync assumes a role, and asks for the quota."""
CROWD = 45
"""Foreign rules of one family: more than from where on the quota is asked for."""


class Trial:
    """One group and one project in the embedded clouds, with a config and a log of their own."""

    def __init__(self, clouds: Stage, folder: Path, number: int, beginning: Beginning) -> None:
        self.clouds, self.beginning, self.project = clouds, beginning, f"acme-{number}"
        clouds.aws.reset()  # moto looks for each tag among all there are: a hundred trials later that takes seconds
        self.group = clouds.aws.make_group(f"trial-{number}", region=REGION)
        sources = [{"CidrIp": c, "Description": "by hand"} for c in (OFFICE, TWIN)]
        crowd = [{"CidrIp": f"62.41.0.{n}/32", "Description": "by hand"} for n in range(CROWD * beginning.crowded)]
        ports = {443: sources, 8443: crowd}
        permissions = [{"IpProtocol": "tcp", "FromPort": p, "ToPort": p, "IpRanges": r} for p, r in ports.items() if r]
        ec2 = clouds.aws.client("ec2", region=REGION)
        ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=permissions)
        office = {"name": "allow-office-ssh", "direction": "INGRESS", "sourceRanges": [OFFICE]}
        clouds.gcp.seed_firewall(self.project, {**office, "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}]})
        self.office = clouds.gcp.firewalls(self.project)["allow-office-ssh"]
        self.log = folder / f"audit-{number}.jsonl"
        self.logs = [self.log]
        self.path = folder / f"ipsync-{number}.yaml"
        text = clouds.config_path.read_text()
        self.owner = f"trial-{number}"
        text = text.replace("owner: demo", f"owner: {self.owner}").replace(f"[{clouds.group}]", f"[{self.group}]")
        text += "guards: {max-removals: {count: 2}}\n"  # both IPv6 addresses go at once, which is their whole family
        text = text.replace(PROJECT, self.project).replace(f"{folder}/audit.jsonl", str(self.log))
        if beginning.crowded:
            region = f"    region: {REGION}\n"
            text = text.replace(region, region + f'    account: {{role_arn: "{ROLE}-{number}"}}\n')
        self.path.write_text(text)
        self.watch = SandboxWatch(clouds, configs.load(self.path, os.environ), self.log)
        for listed in beginning.earlier:
            clouds.feed.addresses = listed
            self.sync(hours=0)
        clouds.feed.addresses = beginning.listed
        self.before, self.by_hand = self.held(), self._by_hand()

    def sync(self, *, hours: int | None = None) -> int:
        """Make one pass in this process, by default at the beginning's hour; return its exit code."""
        late = timedelta(hours=self.beginning.hours if hours is None else hours)
        with self.watch.passing(worker.now() + late) as said:
            report = worker.sync_once(configs.load(self.path, os.environ), clock=lambda: worker.now() + late)
            said(report)
        return exit_code(report, detailed=False)

    def held(self) -> set[str]:
        """Return what this owner holds in both clouds, as `RESOURCE CIDR`."""
        rules = self.clouds.aws.rules(self.group, region=REGION)
        ours = [r for r in rules if any(t["Key"] == "ipsync:owner" for t in r.get("Tags", []))]
        found = {f"{self.group} {r.get('CidrIpv4') or r.get('CidrIpv6')}" for r in ours}
        firewalls = self.clouds.gcp.firewalls(self.project)
        ranges = [cidr for name, f in firewalls.items() if name != self.office["name"] for cidr in f["sourceRanges"]]
        return found | {f"{self.project} {cidr}" for cidr in ranges}

    def _by_hand(self) -> list[str]:
        rules = self.clouds.aws.rules(self.group, region=REGION)
        return sorted(f"{r['FromPort']} {r['CidrIpv4']}" for r in rules if not r.get("Tags"))

    def faults(self, *, quiet: bool) -> list[str]:
        """Say what isn't as it must be: at any time, and once all is quiet."""
        named = self._named()
        found = [f"{change} has no intent" for change in self.held() ^ self.before if change not in named]
        foreign = self._by_hand() == self.by_hand
        foreign = foreign and self.clouds.gcp.firewalls(self.project).get(self.office["name"]) == self.office
        found += [] if foreign else ["an entry of others was touched"]
        found += [f"{name} was opened to everybody" for name in self.clouds.gcp.opened]
        lost = self.before & self._wanted() - self.held()
        found += [f"{change} was wanted all the time and is gone" for change in sorted(lost)]
        found += self.watch.referee.fouls
        return found + (self._unsettled() if quiet else [])

    def _unsettled(self) -> list[str]:
        found = [f"{text} wrongly there or not there" for text in sorted(self.held() ^ self._wanted())]
        proven = verify(self.log)
        found += [] if proven.ok else [f"the log doesn't verify: {proven.problem}"]
        with AuditLog.open(self.log, owner=self.owner, actor="proof", run="r", clock=worker.now) as audit_log:
            return found + [f"intent {seq} is still open" for seq in audit_log.pending]

    def _wanted(self) -> set[str]:
        """Return what must be held in the end; a twin made by hand is never added to."""
        wanted = {f"{a}/{128 if ':' in a else 32}" for a in self.beginning.expected}
        return {f"{self.group} {a}" for a in wanted - {TWIN}} | {f"{self.project} {a}" for a in wanted}

    def _named(self) -> set[str]:
        """Return every change that an intent on disk announces."""
        whole = [log.read_bytes().rpartition(b"\n")[0] for log in self.logs if log.exists()]
        records = [json.loads(line) for lines in whole for line in lines.splitlines()]
        named = set()
        for record in (r for r in records if r["event"] == "intent"):
            where = self.group if self.group in record["resource"] else self.project
            changed = _cidrs(contents(record, "before")) ^ _cidrs(contents(record, "after"))
            named |= {f"{where} {cidr}" for cidr in changed}
        return named


def _cidrs(held: Contents) -> set[str]:
    return {entry.cidr for entry in held.entries}


# ── runs in processes of their own ───────────────────────────────────────────


Child = tuple[Any, Connection]


def started(function: Callable[..., None], path: Path, hours: int, extra: int) -> Child:
    """Fork one of the victim's passes."""
    here, there = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=function, args=(path, hours, extra, there))
    process.start()
    there.close()
    return process, here


def ended(child: Child) -> tuple[int, Any] | None:
    """Wait for it; return what it answered, or None when it was killed."""
    process, here = child
    process.join()
    return here.recv() if process.exitcode == 0 else None


def forked(function: Callable[..., None], trial: Trial, extra: int = 0) -> tuple[int, Any] | None:
    """Fork a pass over a trial and wait for it."""
    with trial.watch.passing(worker.now() + timedelta(hours=trial.beginning.hours)):
        return ended(started(function, trial.path, trial.beginning.hours, extra))


def settled(trial: Trial) -> list[str]:
    """Make further runs until all is as it must be; return what isn't after the last."""
    found = ["no further run was made"]
    for _ in range(FURTHER):
        code = trial.sync()
        found = trial.faults(quiet=True) + ([] if code == 0 else [f"a further run ended with {code}"])
        if not found:
            return []
    return found
