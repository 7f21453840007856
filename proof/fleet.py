"""SIGKILL amid a change of a thousand accounts, then again in the run that recovers: one target, a group in each of them.

Clouds in memory and a real log on disk, as in kills.py; there every point is visited, here points are taken from the
whole length of the run. Beside what must be right in the end each write is judged: was its intent on disk, and did
nothing close anywhere before the new address was in everywhere?
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from factory import NOW, Stage, aws_target, config, hosts

from ipsync import engine
from ipsync.audit import verify
from ipsync.core.addresses import canonical
from ipsync.core.configured import Config, Target
from ipsync.core.model import Operation
from ipsync.targets.aws.where import AwsAccount
from ipsync.targets.base import Places
from ipsync.testing.memory import MemoryCloud
from proof.kills import FURTHER, Announced, Fuse, Fused, Killed, Mortal
from proof.table import Row

SCOPES = 1_000
TO_REACH = 24
OLD = tuple(map(canonical, hosts(20)))
DROPPED, NEW = OLD[0], "9.9.9.9/32"
WANTED = {*OLD[1:], NEW}


@dataclass(slots=True)
class Fleet:
    """A group in each account, which hold the old list; the feed has the new one."""

    config: Config
    cloud: MemoryCloud
    log: Path
    fouls: list[str] = field(default_factory=list)
    writes: Counter[str] = field(default_factory=Counter)
    lacking: set[str] = field(default_factory=set)
    """The groups that the new address may not be in yet."""
    judging: Lock = field(default_factory=Lock)

    def run(self, kill_at: int | None = None) -> Fuse:
        """Make one pass, killed at that point; return the fuse with the number of points passed."""
        fuse = Fused.fuse = Fuse(kill_at)
        announced, self.lacking = Announced(self.log), set(self.cloud.groups)
        self.cloud.before = lambda operation: self._before(operation, announced, fuse)
        self.cloud.after = lambda _operation: fuse.point()
        try:
            with Mortal.open(self.log, owner="acme", actor="proof", run="r", clock=lambda: NOW) as audit_log:
                self.sync(sorted(WANTED), recorder=audit_log, open_intents=tuple(audit_log.pending.values()))
        except Killed:
            pass
        return fuse

    def sync(self, listed: Sequence[str], **changes: Any) -> None:
        """Make one pass over all accounts, with this list."""
        made = Stage(self.config, cloud=self.cloud, lists={"qatech": listed}).run()
        engine.sync(replace(made, clouds=replace(made.clouds, places=self._places), **changes))

    def _places(self, targets: Sequence[Target]) -> list[Places]:
        return [Places(tuple(replace(t.where, account=a) for a in self.cloud.accounts)) for t in targets]  # type: ignore[type-var]

    def _before(self, operation: Operation, announced: Announced, fuse: Fuse) -> None:
        fuse.point()
        with self.judging:
            self.writes[operation.kind] += 1
            if not announced.intent(operation):
                self.fouls.append(f"{operation.resource}: {operation.kind} without an intent on disk")
            if operation.kind == "remove":
                self.lacking = {group for group in self.lacking if NEW not in self.held(group)}
            if operation.kind == "remove" and self.lacking:
                self.fouls.append(f"{operation.resource} loses {DROPPED} while {len(self.lacking)} groups lack {NEW}")

    def held(self, group: str) -> set[str]:
        """Return what a group lets in."""
        return {canonical(e.network) for e in self.cloud.groups[group].values()}

    def faults(self) -> list[str]:
        """Say what is not as it must be once everything is quiet."""
        wrong = [group for group in self.cloud.groups if self.held(group) != WANTED]
        found = [*self.fouls, *([f"{len(wrong)} groups aren't as wanted, like {wrong[0]}"] if wrong else [])]
        proven = verify(self.log)
        found += [] if proven.ok else [f"the log doesn't verify: {proven.problem}"]
        before = self.writes.total()
        self.run()
        found += [f"a further run writes {self.writes.total() - before} times"] if self.writes.total() > before else []
        with Mortal.open(self.log, owner="acme", actor="proof", run="r", clock=lambda: NOW) as left:
            return found + [f"intent {seq} is still open" for seq in left.pending]


def fleet(log: Path, scopes: int) -> Fleet:
    """Return accounts whose groups hold the old list, and nothing in the log."""
    accounts = {AwsAccount(role_arn=f"arn:aws:iam::{n:012d}:role/ipsync"): f"{n:012d}" for n in range(1, scopes + 1)}
    cloud = MemoryCloud(groups={f"aws/{a}/eu-north-1/sg-1": {} for a in accounts.values()}, accounts=accounts)
    made = Fleet(config(aws_target(), grace=timedelta(0)), cloud, log)
    made.sync(OLD)
    return made


def copied(whole: Fleet, log: Path) -> Fleet:
    """Return the same world as it began, with a log of its own."""
    cloud = MemoryCloud(groups={n: dict(g) for n, g in whole.cloud.groups.items()}, accounts=whole.cloud.accounts)
    cloud.ids = iter(range(10_000_000, 100_000_000))
    return Fleet(whole.config, cloud, log)


def pairs(runs: int, scopes: int) -> Iterator[list[str]]:
    """Yield the faults of so many pairs of kills, the first ones spread over a whole run, the second over what is left."""
    with tempfile.TemporaryDirectory(prefix="ipsync-proof-") as name:
        folder = Path(name)
        first = fleet(folder / "none.jsonl", scopes)
        points = copied(first, folder / "count.jsonl").run().points
        for nth in range(runs):
            trial = copied(first, folder / f"{nth}.jsonl")
            at = 1 + nth * (points - 1) // max(1, runs - 1)
            trial.run(at)
            left = max(1, points - at)
            again = 1 + (nth * 7919) % left  # a prime: the second ones are spread as well
            trial.run(again)
            for _ in range(FURTHER):
                trial.run()
            yield [f"killed at {at:,} of {points:,}, then at {again:,}: {fault}" for fault in trial.faults()[:3]]


def rows(runs: int, *, scopes: int = SCOPES) -> list[Row]:
    """Kill so often; judged against the promised number."""
    found = list(pairs(runs, scopes))
    bad = [fault for faults in found for fault in faults]
    good = sum(not faults for faults in found)
    what = f"kill × kill amid a change of {scopes:,} accounts, in memory"
    reached = f"{good} of {len(found)} converge, in ≤ {FURTHER} further runs"
    return [Row(what, len(found), reached, "all, in ≤ 2", not bad), *(Row("  BROKEN", 1, text) for text in bad[:5])]
