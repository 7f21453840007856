"""Short ways to make configs, snapshots and runs for tests: valid by default, one keyword away from anything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from ipsync import engine
from ipsync.core.addresses import parse, sort_key
from ipsync.core.canonical import digest
from ipsync.core.configured import Config, Feed, Limits, Target
from ipsync.core.errors import FeedError
from ipsync.core.events import Record
from ipsync.core.model import Network, Service, Snapshot, State
from ipsync.core.plan import TargetChange
from ipsync.core.signals import PassEnded, Recorded, Subscriber
from ipsync.targets import registry
from ipsync.targets.aws import rules as aws_rules
from ipsync.targets.aws.where import AwsGroups, AwsLists
from ipsync.targets.gcp import rules as gcp_rules
from ipsync.targets.gcp.where import GcpRule
from ipsync.testing.memory import MemoryCloud
from ipsync.testing.memory_log import MemoryLog as Log

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
HTTPS = Service("tcp", 443, 443)
GROUP = "aws/1/eu-north-1/sg-1"
RULE = "gcp/acme/allow-qatech"


ENTRIES, LISTS = aws_rules.TRAITS, gcp_rules.TRAITS
entry_note = ENTRIES.entry_marks.note
rule_note = LISTS.list_marks.note


def networks(*texts: str) -> tuple[Network, ...]:
    return tuple(sorted({parse(t) for t in texts}, key=sort_key))


def hosts(number: int, *, first: int = 0) -> tuple[Network, ...]:
    """Return `number` public IPv4 hosts."""
    return networks(*(f"8.{i // 65536}.{i // 256 % 256}.{i % 256}" for i in range(first, first + number)))


def snapshot(listed: Iterable[Network | str], *, feed: str = "qatech", at: datetime = NOW) -> Snapshot:
    found = networks(*(str(n) for n in listed))
    return Snapshot(feed, f"https://{feed}.example/ips", found, digest([str(n) for n in found]), at)


def aws_target(name: str = "web", **changes: object) -> Target:
    where = {"region": "eu-north-1", "groups": ("sg-1",)} | dict(changes.pop("where", {}))  # type: ignore[call-overload]
    base = {"feeds": ("qatech",), "services": (HTTPS,), "limits": (("qatech", Limits()),)} | changes
    return Target(name, "aws-security-group", where=AwsGroups(**where), **base)  # type: ignore[arg-type]


def target_at(aws, *groups: str, **where: object) -> Target:
    """Return a target in an embedded EC2."""
    return aws_target(where={"groups": groups, "endpoint_url": aws.endpoint_url, **where})


def list_target(name: str = "edge", **changes: object) -> Target:
    where = {"region": "eu-north-1", "prefix_list": "pl-1"} | dict(changes.pop("where", {}))  # type: ignore[call-overload]
    base = {"feeds": ("qatech",), "services": (), "limits": (("qatech", Limits()),)} | changes
    return Target(name, "aws-prefix-list", where=AwsLists(**where), **base)  # type: ignore[arg-type]


def gcp_target(name: str = "edge", **changes: object) -> Target:
    where = {"project": "acme", "network": "default", "rule": "allow-qatech"}
    where |= dict(changes.pop("where", {}))  # type: ignore[call-overload]
    base = {"feeds": ("qatech",), "services": (HTTPS,), "limits": (("qatech", Limits()),)} | changes
    return Target(name, "gcp-firewall", where=GcpRule(**where), **base)  # type: ignore[arg-type]


def config(*targets: Target, grace: timedelta | None = timedelta(hours=72), owner: str = "acme") -> Config:
    names = sorted({f for t in targets for f in t.feeds})
    feeds = tuple(Feed(n, f"https://{n}.example/ips") for n in names)
    return Config(owner, feeds, targets, grace, audit_path="-")


def planned(*targets: Target) -> tuple[TargetChange, ...]:
    """Plan these targets against the clouds that they name; each feed lists two addresses."""
    clouds = engine.Clouds(lambda f: snapshot(hosts(2), feed=f.name), registry.open_reader, registry.open_writer)
    run = engine.Run("r", config(*targets), clouds, Log(), lambda: NOW, frozenset(t.name for t in targets))
    return engine.plan(run).plan.target_changes


def blocker_of(state: State) -> str | None:
    """Return why a resource, or one of its lists, can't be managed."""
    return next((text for text in (state.conflict, *(p.blocker for p in state.managed_lists)) if text), None)


@dataclass(slots=True)
class Stage:
    """A config over a MemoryCloud, feeds that tests set, and a clock that tests move."""

    config: Config
    cloud: MemoryCloud = field(default_factory=MemoryCloud)
    lists: dict[str, Iterable[Network | str] | str] = field(default_factory=dict)
    now: datetime = NOW
    log: Log = field(default_factory=Log)
    open_intents: list[Mapping[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.cloud.groups:
            self.cloud.groups = {GROUP: {}}

    def fetch(self, feed: Feed) -> Snapshot:
        listed = self.lists[feed.name]
        if isinstance(listed, str):
            raise FeedError(listed)
        return snapshot(listed, feed=feed.name, at=self.now)

    def run(self, *only: str) -> engine.Run:
        clouds = engine.Clouds(self.fetch, self.cloud.reader, self.cloud.writer, pause=lambda _s: None)
        names = frozenset(only) or frozenset(t.name for t in self.config.targets)
        return engine.Run("r1", self.config, clouds, self.log, lambda: self.now, names, list(self.open_intents))

    def plan(self, *only: str):
        return engine.plan(self.run(*only))

    def sync(self, *only: str, approve: str | Iterable[str] | None = None):
        given = {approve} if isinstance(approve, str) else approve or ()
        return engine.sync(self.run(*only), approve=frozenset(given))

    def watched(
        self, *observers: Subscriber, only: Iterable[str] = (), approve: Iterable[str] = (), seconds: float = 1.5
    ):
        """Sync as the app does: the observers hear all of it, and how it ended."""
        made = replace(self.run(*only), subscribers=observers)
        report = engine.sync(made, approve=frozenset(approve))
        engine.tell(observers, PassEnded("sync", seconds, report))
        return report

    def held(self, resource: str = GROUP) -> list[str]:
        return sorted(f"{e.network}" for e in self.cloud.groups[resource].values())

    def ranges(self, name: str = RULE) -> list[str]:
        managed = self.cloud.lists.get(name)
        return sorted(str(n) for n in managed.networks) if managed else []


class Loose(Record):
    """A record with any name and any fields, as no run would write it."""

    def __init__(self, name: str, **fields: object) -> None:
        self.name, self._fields = name, fields  # type: ignore[misc]

    def fields(self) -> dict[str, object]:
        return self._fields


def put(audit_log, event: str, **fields: object) -> Recorded:
    """Append a record of that name to a log."""
    return audit_log.record(Loose(event, **fields))
