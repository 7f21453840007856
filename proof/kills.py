"""SIGKILL at every point of a run, then again in the run that recovers: over clouds in memory, with a real log on disk.

A point is: before, in the middle of and after each append to the audit log, and before and after each write to
a cloud. A killed process is an exception that no handler catches, after which every thread of it dies at its
next point. Real processes die in processes.py; here the matrix can be complete.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

from factory import HTTPS, NOW, Stage, aws_target, config, gcp_target, networks

from ipsync import engine
from ipsync.audit import AuditLog, verify
from ipsync.audit.file_chain import FileChain
from ipsync.core.contents import contents
from ipsync.core.model import Entry, Operation
from ipsync.testing.memory import MemoryCloud
from proof.referee import Referee, Write
from proof.table import Row
from proof.watch import Watch, told

TO_REACH = 1000
FURTHER = 2
"""Runs after the last kill in which everything must be right."""
GROUPS = ("aws/1/eu-north-1/sg-1", "aws/1/eu-north-1/sg-2")
OLD = [str(n) for n in networks(*(f"8.8.{i}.1" for i in range(8)), "2600::1", "2600::2")]
NEW = [*OLD[1:], "8.9.0.1/32", "2600::9/128"]
STATIC = "9.9.9.9/32"
FOREIGN = Entry(networks("62.40.0.0/16")[0], HTTPS, (("description", "office"),))
TWIN = Entry(networks(OLD[2])[0], HTTPS, (("description", "by hand"),))


class Killed(BaseException):
    """The process is gone."""


@dataclass(slots=True)
class Fuse:
    """Burns at a point; from then on every point is death."""

    at: int | None = None
    points: int = 0
    burnt: bool = False
    lock: Lock = field(default_factory=Lock)

    def point(self) -> None:
        """Pass one point, or die."""
        with self.lock:
            self.points += 1
            self.burnt = self.burnt or self.points == self.at
            if self.burnt:
                raise Killed

    def torn(self, handle: int, data: bytes) -> None:
        """Pass a point in the middle of an append: dying here leaves half a line."""
        with self.lock:
            if self.at == self.points + 1:
                os.write(handle, data[: len(data) // 2])
        self.point()


class Fused(FileChain):
    """The chain of a process that may be killed at each append."""

    fuse: ClassVar[Fuse] = Fuse()

    def _put(self, data: bytes) -> None:
        self.fuse.point()
        self.fuse.torn(self.handle, data)
        super()._put(data)
        self.fuse.point()


class Mortal(AuditLog):
    """The audit log of such a process."""

    file_chain = Fused


@dataclass(slots=True)
class Observed:
    """Clouds in memory, a log on disk, and a referee who sees each write."""

    stage: Stage
    log: Path
    graced: frozenset[str] = frozenset()
    referee: Referee = field(default_factory=Referee)
    writes: dict[int, Write | None] = field(default_factory=dict)
    watching: Lock = field(default_factory=Lock)

    def run(self, kill_at: int | None = None) -> Fuse:
        """Make one pass, killed at that point; return the fuse with the number of points passed."""
        fuse = Fused.fuse = Fuse(kill_at)
        self.stage.cloud.before = lambda operation: self._before(operation, fuse)
        self.stage.cloud.after = lambda operation: self._after(operation, fuse)
        stage, served = self.stage, {"qatech": networks(*self.stage.lists["qatech"])}
        watch = Watch(stage.cloud, stage.config)
        report = None
        clouds = engine.Clouds(stage.fetch, stage.cloud.reader, stage.cloud.writer, pause=lambda _s: None)
        names = frozenset(t.name for t in stage.config.targets)
        self.referee.begin(watch.facts(names, stage.now, served, added=self.referee.added))
        try:
            with Mortal.open(self.log, owner="acme", actor="proof", run="r", clock=lambda: stage.now) as audit_log:
                intents = tuple(audit_log.pending.values())
                run = engine.Run("r", stage.config, clouds, audit_log, lambda: stage.now, names, intents)
                report = engine.sync(run)
        except Killed:
            pass
        self.referee.end(told(report) if report else None, watch.contents())
        return fuse

    def _before(self, operation: Operation, fuse: Fuse) -> None:
        fuse.point()
        with self.watching:
            write = self.writes[id(operation)] = Watch(self.stage.cloud, self.stage.config).write(operation)
            if write:
                self.referee.write(write, Announced(self.log).intent(operation), log=self.log)

    def _after(self, operation: Operation, fuse: Fuse) -> None:
        write = self.writes[id(operation)]
        if write:
            self.referee.answered(write, carried_out=True)
        fuse.point()

    def faults(self) -> list[str]:
        """Say what is not as it must be once everything is quiet."""
        cloud, expected = self.stage.cloud, {*self.stage.lists["qatech"], *self.graced}
        found = []
        for group in GROUPS:
            held = {str(e.network) for e in cloud.groups[group].values() if e != FOREIGN}
            wrong = sorted(held ^ (expected | {STATIC}))
            found += [f"{group}: {wrong} wrongly there or not there"] if wrong else []
        kept = [e for e in cloud.groups[GROUPS[0]].values() if e.note in {FOREIGN.note, TWIN.note}]
        found += [] if {FOREIGN, TWIN} <= set(kept) else ["a foreign entry is gone"]
        ranges = {str(n) for p in cloud.lists.values() for n in p.networks}
        found += [] if ranges == expected else [f"rules: {sorted(ranges ^ expected)} wrongly there or not there"]
        proven = verify(self.log)
        found += [] if proven.ok else [f"the log doesn't verify: {proven.problem}"]
        found += self.referee.fouls
        with AuditLog.open(self.log, owner="acme", actor="proof", run="r", clock=lambda: NOW) as audit_log:
            return found + [f"intent {seq} is still open" for seq in audit_log.pending]

    def copy(self, log: Path) -> Observed:
        """Return the same world with a log of its own."""
        if self.log.exists():
            log.write_bytes(self.log.read_bytes())
        else:
            log.unlink(missing_ok=True)
        cloud = MemoryCloud(
            groups={name: dict(rules) for name, rules in self.stage.cloud.groups.items()},
            lists=dict(self.stage.cloud.lists),
            ids=deepcopy(self.stage.cloud.ids),
        )
        stage = Stage(self.stage.config, cloud=cloud, lists=dict(self.stage.lists), now=self.stage.now)
        return Observed(stage, log, self.graced, Referee(list(self.referee.fouls), dict(self.referee.added)))


@dataclass(slots=True)
class Announced:
    """A log's file, read on as it grows: the intents of which nobody has said yet what became of them."""

    log: Path
    read: int = 0
    open: dict[int, dict[str, Any]] = field(default_factory=dict)

    def intent(self, operation: Operation) -> dict[str, Any] | None:
        """Return the intent on disk that says just this."""
        with self.log.open("rb") as file:
            file.seek(self.read)
            whole, end, _ = file.read().rpartition(b"\n")  # another thread may be writing the next line
        self.read += len(whole + end)
        for line in whole.splitlines():
            record = json.loads(line)
            if record["event"] == "intent":
                self.open[record["seq"]] = record
            elif record["event"] in {"outcome", "recovered"}:
                self.open.pop(record.get("intent"), None)
        said = operation.resource, operation.kind, operation.before, operation.after
        return next((r for r in self.open.values() if _said(r) == said), None)


def _said(record: dict[str, Any]) -> tuple[object, ...]:
    return record["resource"], record["kind"], contents(record, "before"), contents(record, "after")


# ── where a run can stand when it is killed ──────────────────────────────────


def worlds(folder: Path) -> dict[str, Observed]:
    """Return the beginnings: nothing is there yet; the list has changed; what it dropped is due."""
    static = networks(STATIC)
    targets = [
        aws_target("web", static=static),
        aws_target("api", where={"groups": ("sg-2",)}, static=static),
        gcp_target("edge", where={"max_ranges": 5}),
    ]
    cloud = MemoryCloud(groups={name: {} for name in GROUPS})
    for entry in (FOREIGN, TWIN):
        cloud.put(GROUPS[0], entry)
    first = Observed(Stage(config(*targets), cloud=cloud, lists={"qatech": OLD}), folder / "first.jsonl")

    changed = first.copy(folder / "changed.jsonl")
    changed.run()
    changed.stage.lists["qatech"] = NEW
    changed.graced = frozenset(OLD[:1])

    due = changed.copy(folder / "due.jsonl")
    due.run()
    back = due.copy(folder / "back.jsonl")
    back.stage.lists["qatech"] = OLD
    back.graced = frozenset({*NEW} - {*OLD})
    due.graced = frozenset()
    due.stage.now += timedelta(hours=73)
    due.stage.lists["qatech"] = [*NEW, "8.9.0.2/32"]
    return {"nothing is there yet": first, "the list changed": changed, "removals are due": due, "one comes back": back}


# ── the matrix ───────────────────────────────────────────────────────────────


def matrix(runs: int) -> Iterator[tuple[str, int, int, list[str], int]]:
    """Yield (beginning, first kill, second kill, faults, further runs needed) for at least so many pairs of kills."""
    with tempfile.TemporaryDirectory(prefix="ipsync-proof-") as name:
        folder = Path(name)
        beginnings = worlds(folder)
        points = {b: w.copy(folder / "count.jsonl").run().points for b, w in beginnings.items()}
        seconds = max(1, -(-runs // sum(points.values())))
        stride = max(1, sum(points.values()) // runs)
        for beginning, observed in beginnings.items():
            for first in range(1, points[beginning] + 1, stride):
                for nth in range(seconds):
                    yield _pair(beginning, observed.copy(folder / "log.jsonl"), first, nth, seconds)


def _pair(
    beginning: str, observed: Observed, first: int, nth: int, seconds: int
) -> tuple[str, int, int, list[str], int]:
    observed.run(first)
    points = observed.copy(observed.log.with_name("recovery.jsonl")).run().points
    second = 1 + (first + nth * points // seconds) % points
    observed.run(second)
    for further in range(1, FURTHER + 1):
        observed.run()
        faults = observed.faults() if further == FURTHER or _quiet(observed) else ["not yet"]
        if not faults:
            return beginning, first, second, [], further
    return beginning, first, second, faults, FURTHER


def _quiet(observed: Observed) -> bool:
    """Tell whether a further run would write nothing."""
    return not observed.stage.plan().plan.changes


def rows(runs: int) -> list[Row]:
    """Kill so often; judged against the promised number where that many were asked for."""
    found = list(matrix(runs))
    bad = [f"{b}, killed at {i} then {j}: {'; '.join(faults)}" for b, i, j, faults, _ in found if faults]
    most = max(further for *_, further in found)
    reached = f"{len(found) - len(bad):,} of {len(found):,} converge, in ≤ {most} further runs"
    return [
        Row("kill × kill, clouds in memory", len(found), reached, "all, in ≤ 2", not bad),
        *(Row("  BROKEN", 1, text) for text in bad[:5]),
    ]
