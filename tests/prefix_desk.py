"""Two prefix lists on the strict AWS, a feed that tests set, and a clock that they move: runs of the real engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from factory import NOW, config, list_target, snapshot

from ipsync import engine
from ipsync.core.configured import Target
from ipsync.core.report import Report
from ipsync.sandbox.aws.cloud import AwsCloud
from ipsync.targets import registry
from ipsync.testing.memory_log import MemoryLog

A, B, C, D = "8.8.8.8/32", "8.8.4.4/32", "9.9.9.9/32", "1.1.1.1/32"
V6 = "2600::1/128"
OURS = "ipsync owner=acme target=edge feed=qatech"


@dataclass
class Desk:
    cloud: AwsCloud
    v4: str
    v6: str
    listed: Sequence[str] = (A, B, C, D)
    grace: timedelta | None = timedelta(hours=72)
    owner: str = "acme"
    now: datetime = NOW
    log: MemoryLog = field(default_factory=MemoryLog)
    targets: list[Target] = field(default_factory=list)

    def target(self, name: str = "edge", **changes: object) -> Target:
        names = {"prefix_list": self.v4, "prefix_list_v6": self.v6, "endpoint_url": self.cloud.endpoint_url}
        return list_target(name, where={**names, **dict(changes.pop("where", {}))}, **changes)

    def run(self, writer=registry.open_writer) -> engine.Run:
        targets = self.targets or [self.target()]
        clouds = engine.Clouds(self._fetch, registry.open_reader, writer, pause=lambda _s: None)
        names = frozenset(t.name for t in targets)
        made = config(*targets, grace=self.grace, owner=self.owner)
        return engine.Run("r", made, clouds, self.log, lambda: self.now, names, open_intents=self.log.pending())

    def _fetch(self, feed):
        return snapshot(self.listed, feed=feed.name, at=self.now)

    def plan(self) -> Report:
        return engine.plan(self.run())

    def sync(self, **changes: object) -> Report:
        return engine.sync(self.run(), **changes)

    def held(self, name: str = "") -> list[str]:
        return sorted(self.cloud.entries(name or self.v4))

    def calls(self, *, writes: bool | None = None) -> list[str]:
        return [c.operation for c in self.cloud.calls if writes is None or c.writes is writes]
