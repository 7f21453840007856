"""Real processes, real SIGKILL, real HTTP: killed at every point, then again while recovering, over both embedded clouds.

Each trial has a group and a project of its own. The victims are forked from a process that has imported
everything, which makes hundreds of them affordable; some more are plain `ipsync sync` commands killed at
random moments. Whatever changed in a cloud must be named by an intent in the log, however the process ended.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from ipsync import config as configs
from ipsync import demo, worker
from ipsync.journal import Journal, verify
from proof.table import Row

FURTHER = 2
SEED = 20260131
OLD = [f"8.8.{i}.1" for i in range(6)] + ["2600:1f14::1", "2600:1f14::2"]
NEW = [*OLD[1:], "8.9.0.1"]
LAST = [*NEW, "8.9.0.2"]
DUE = 73
"""Hours after which what the list dropped is removed."""
TWIN = f"{OLD[2]}/32"
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["proof.victim"])


@dataclass(frozen=True, slots=True)
class Beginning:
    """What earlier runs have applied, and what the run to be killed finds: the list, and the hours gone by."""

    name: str
    earlier: tuple[list[str], ...]
    listed: list[str]
    hours: int
    expected: frozenset[str]


BEGINNINGS = (
    Beginning("nothing is there yet", (), OLD, 0, frozenset(OLD)),
    Beginning("the list changed", (OLD,), NEW, 0, frozenset([*OLD, *NEW])),
    Beginning("removals are due", (OLD, NEW), LAST, DUE, frozenset(LAST)),
)


class Trial:
    """One group and one project in the embedded clouds, with a config and a log of their own."""

    def __init__(self, clouds: demo.Stage, folder: Path, number: int, beginning: Beginning) -> None:
        self.clouds, self.beginning, self.project = clouds, beginning, f"acme-{number}"
        self.group = clouds.aws.make_group(f"trial-{number}", region=demo.REGION)
        sources = [{"CidrIp": c, "Description": "by hand"} for c in (demo.OFFICE, TWIN)]
        clouds.aws.client("ec2", region=demo.REGION).authorize_security_group_ingress(
            GroupId=self.group,
            IpPermissions=[{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": sources}],
        )
        self.log = folder / f"audit-{number}.jsonl"
        self.path = folder / f"ipsync-{number}.yaml"
        text = clouds.config_path.read_text()
        text = text.replace(f"[{clouds.group}]", f"[{self.group}]").replace(demo.PROJECT, self.project)
        self.path.write_text(text.replace(f"{folder}/audit.jsonl", str(self.log)))
        for listed in beginning.earlier:
            clouds.feed.addresses = listed
            worker.sync_once(configs.load(self.path, os.environ))
        clouds.feed.addresses = beginning.listed
        self.before = self.held()

    def run(self, kill_at: int = 0) -> tuple[int, int] | None:
        """Fork a sync; return its exit code and number of points, or None when it was killed."""
        from proof import victim

        here, there = CONTEXT.Pipe(duplex=False)
        process = CONTEXT.Process(target=victim.sync, args=(self.path, self.beginning.hours, kill_at, there))
        process.start()
        there.close()
        process.join()
        return here.recv() if process.exitcode == 0 else None

    def held(self) -> set[str]:
        """Return what this owner holds in both clouds, as `RESOURCE CIDR`."""
        rules = self.clouds.aws.rules(self.group, region=demo.REGION)
        ours = [r for r in rules if any(t["Key"] == "ipsync:owner" for t in r.get("Tags", []))]
        found = {f"{self.group} {r.get('CidrIpv4') or r.get('CidrIpv6')}" for r in ours}
        firewalls = self.clouds.gcp.firewalls(self.project).values()
        return found | {f"{self.project} {cidr}" for f in firewalls for cidr in f["sourceRanges"]}

    def faults(self, *, quiet: bool) -> list[str]:
        """Say what isn't as it must be: at any time, and once all is quiet."""
        named = self._named()
        found = [f"{change} has no intent" for change in self.held() ^ self.before if change not in named]
        by_hand = [r for r in self.clouds.aws.rules(self.group, region=demo.REGION) if not r.get("Tags")]
        found += [] if sorted(r["CidrIpv4"] for r in by_hand) == sorted((demo.OFFICE, TWIN)) else ["foreign rules"]
        return found + (self._unsettled() if quiet else [])

    def _unsettled(self) -> list[str]:
        wanted = {f"{a}/{128 if ':' in a else 32}" for a in self.beginning.expected}
        expected = {f"{self.group} {a}" for a in wanted - {TWIN}} | {f"{self.project} {a}" for a in wanted}
        found = [f"{text} wrongly there or not there" for text in sorted(self.held() ^ expected)]
        proven = verify(self.log)
        found += [] if proven.ok else [f"the log doesn't verify: {proven.problem}"]
        with Journal.open(self.log, owner="demo", actor="proof", run="r", clock=worker.now) as journal:
            return found + [f"intent {seq} is still open" for seq in journal.pending]

    def _named(self) -> set[str]:
        """Return every change that an intent on disk announces."""
        whole, _, _ = self.log.read_bytes().rpartition(b"\n") if self.log.exists() else (b"", b"", b"")
        records = [json.loads(line) for line in whole.splitlines()]
        named = set()
        for record in (r for r in records if r["event"] == "intent"):
            where = self.group if self.group in record["resource"] else self.project
            changed = {_cidr(t) for t in record["before"]} ^ {_cidr(t) for t in record["after"]}
            named |= {f"{where} {cidr}" for cidr in changed}
        return named


def _cidr(text: str) -> str:
    return text.split(" ", 1)[0]


# ── the runs ─────────────────────────────────────────────────────────────────


def kills(runs: int, clouds: demo.Stage, folder: Path) -> Iterator[list[str]]:
    """Yield the faults of each trial: two kills at points that together visit every point of every beginning."""
    number = 0
    chance = random.Random(SEED)
    for beginning in BEGINNINGS:
        number += 1
        _, points = Trial(clouds, folder, number, beginning).run() or (0, 0)
        share = runs // len(BEGINNINGS)
        for nth in range(share):
            number += 1
            trial = Trial(clouds, folder, number, beginning)
            first = 1 + nth * max(points, share) // share % points
            trial.run(first)
            found = trial.faults(quiet=False)
            trial.run(chance.randint(1, points))
            found += trial.faults(quiet=False)
            yield [f"{beginning.name}, killed at {first} of {points}: {f}" for f in found + _settled(trial)]


def commands(runs: int, clouds: demo.Stage, folder: Path) -> Iterator[list[str]]:
    """Yield the faults of each plain `ipsync sync` that is killed at a random moment."""
    chance = random.Random(SEED + 1)
    for nth in range(runs):
        trial = Trial(clouds, folder, 10_000 + nth, BEGINNINGS[nth % 2])
        command = [sys.executable, "-m", "ipsync", "sync", "-c", str(trial.path)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.3 + 2.5 * chance.random())
        process.kill()
        process.wait()
        yield [f"a command killed at random: {f}" for f in trial.faults(quiet=False) + _settled(trial)]


def _settled(trial: Trial) -> list[str]:
    found = ["no further run was made"]
    for _ in range(FURTHER):
        ended = trial.run()
        found = trial.faults(quiet=True) if ended else ["a run without a kill died"]
        if not found and ended == (0, ended[1] if ended else 0):
            return []
    return found


def rows(runs: int, random_runs: int) -> list[Row]:
    """Kill so many processes at points, and so many at random moments."""
    with tempfile.TemporaryDirectory(prefix="ipsync-proof-") as name, demo.stage(Path(name)) as clouds:
        at_points = list(kills(runs, clouds, Path(name)))
        at_random = list(commands(random_runs, clouds, Path(name)))
    bad = [fault for found in (*at_points, *at_random) for fault in found]
    return [
        _row("kill × kill, real processes", at_points),
        _row("kill at a random moment, `ipsync sync`", at_random),
        *(Row("  BROKEN", 1, text) for text in bad[:5]),
    ]


def _row(what: str, found: list[list[str]]) -> Row:
    bad = sum(bool(f) for f in found)
    reached = f"{len(found) - bad:,} of {len(found):,} converge, in ≤ {FURTHER} further runs"
    return Row(what, len(found), reached, "all, in ≤ 2", not bad)
